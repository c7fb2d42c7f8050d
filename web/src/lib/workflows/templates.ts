/** Workflows to begin with: each does something real, and shows how a part of the engine is used. */
export interface Template {
  id: string;
  name: string;
  says: string;
  /** What must be filled in before it can do its work. */
  needs: string;
  definition: Record<string, unknown>;
  sample: unknown;
}

export const TEMPLATES: Template[] = [
  {
    id: 'order-intake',
    name: 'Order intake',
    says: 'Adds up an order, tells large ones apart, and gives each its own treatment.',
    needs: 'Nothing: it runs as it is.',
    definition: {
      description: 'Adds up an order and tells large ones apart.',
      nodes: [
        {
          id: 'totals',
          type: 'transform',
          config: {
            template: {
              order: '{{ input.id }}',
              total: '{{ sum(input.items[].price) }}',
              customer: '{{ input.customer }}'
            }
          }
        },
        {
          id: 'size',
          type: 'branch',
          config: { conditions: [{ port: 'large', when: 'input.total >= `100`' }], default: 'small' }
        },
        {
          id: 'by_hand',
          type: 'transform',
          config: { expression: '{order: input.order, total: input.total, way: `a person looks at it`}' }
        },
        {
          id: 'at_once',
          type: 'transform',
          config: { expression: '{order: input.order, total: input.total, way: `accepted at once`}' }
        }
      ],
      edges: [
        { from: 'trigger', to: 'totals' },
        { from: 'totals', to: 'size' },
        { from: 'size', port: 'large', to: 'by_hand' },
        { from: 'size', port: 'small', to: 'at_once' }
      ]
    },
    sample: { id: 4711, customer: 'Ada', items: [{ price: 80 }, { price: 45 }] }
  },
  {
    id: 'github-to-chat',
    name: 'GitHub to chat',
    says: 'Tells a chat channel about pushes and opened pull requests, and leaves out the rest.',
    needs: 'The webhook address of the channel, as the secret CHAT_URL.',
    definition: {
      description: 'Pushes and opened pull requests, to a chat.',
      nodes: [
        {
          id: 'what',
          type: 'branch',
          config: {
            conditions: [
              { port: 'push', when: 'input.commits' },
              { port: 'opened', when: "input.action == 'opened' && input.pull_request" }
            ],
            default: 'other'
          }
        },
        {
          id: 'about_push',
          type: 'transform',
          config: {
            template: {
              text: '{{ input.pusher.name }} pushed {{ length(input.commits) }} commits to {{ input.repository.full_name }}'
            }
          }
        },
        {
          id: 'about_pull',
          type: 'transform',
          config: {
            template: {
              text: '{{ input.sender.login }} opened “{{ input.pull_request.title }}”: {{ input.pull_request.html_url }}'
            }
          }
        },
        { id: 'either', type: 'join', config: { mode: 'any' } },
        {
          id: 'tell',
          type: 'http_call',
          config: { method: 'POST', url: '{{ secrets.CHAT_URL }}', json: { text: '{{ input.text }}' } }
        },
        { id: 'ignore', type: 'terminate', config: { output: 'left out' } }
      ],
      edges: [
        { from: 'trigger', to: 'what' },
        { from: 'what', port: 'push', to: 'about_push' },
        { from: 'what', port: 'opened', to: 'about_pull' },
        { from: 'what', port: 'other', to: 'ignore' },
        { from: 'about_push', to: 'either' },
        { from: 'about_pull', to: 'either' },
        { from: 'either', to: 'tell' }
      ]
    },
    sample: { pusher: { name: 'ada' }, commits: [{ id: 'c1' }], repository: { full_name: 'ada/engine' } }
  },
  {
    id: 'rss-to-webhook',
    name: 'RSS to webhook',
    says: 'Reads a feed and sends each of its items to a webhook. Start it with a schedule.',
    needs: 'The address of the feed, and the webhook of yours, as the secret NEWS_URL.',
    definition: {
      description: 'Each item of a feed, to a webhook.',
      nodes: [
        {
          id: 'fetch',
          type: 'http_call',
          config: { url: 'https://planetpython.org/rss20.xml', headers: { accept: 'application/rss+xml' } }
        },
        { id: 'read', type: 'xml_json', config: { to: 'feed', value: '{{ input.body }}' } },
        {
          id: 'each',
          type: 'loop',
          config: {
            items: 'input.items',
            concurrency: 4,
            on_error: 'continue',
            body: {
              nodes: [
                {
                  id: 'send',
                  type: 'http_call',
                  config: {
                    method: 'POST',
                    url: '{{ secrets.NEWS_URL }}',
                    json: { title: '{{ input.title }}', link: '{{ input.link }}' }
                  }
                }
              ],
              edges: [{ from: 'trigger', to: 'send' }]
            }
          }
        }
      ],
      edges: [
        { from: 'trigger', to: 'fetch' },
        { from: 'fetch', to: 'read' },
        { from: 'read', to: 'each' }
      ]
    },
    sample: null
  },
  {
    id: 'fan-out',
    name: 'Fan-out with join',
    says: 'Does two things side by side and puts their results together.',
    needs: 'Nothing: it runs as it is.',
    definition: {
      description: 'Two ways at once, and their results together.',
      nodes: [
        { id: 'count', type: 'transform', config: { expression: 'length(input.words)' } },
        { id: 'longest', type: 'transform', config: { expression: 'max_by(input.words, &length(@))' } },
        { id: 'together', type: 'join', config: { mode: 'all' } }
      ],
      edges: [
        { from: 'trigger', to: 'count' },
        { from: 'trigger', to: 'longest' },
        { from: 'count', to: 'together' },
        { from: 'longest', to: 'together' }
      ]
    },
    sample: { words: ['mesh', 'hook', 'durable'] }
  },
  {
    id: 'approval',
    name: 'Approval',
    says: 'Waits for up to a day until somebody approves, and goes on with what they said.',
    needs: 'Nothing: approve with “meshhook event send approval --key 4711”.',
    definition: {
      description: 'Waits for somebody to approve.',
      nodes: [
        { id: 'ask', type: 'wait_event', config: { event: 'approval', key: '{{ input.id }}', timeout_s: 86400 } },
        { id: 'approved', type: 'transform', config: { template: { decision: '{{ input }}' } } },
        { id: 'too_late', type: 'terminate', config: { status: 'failed', reason: 'Nobody answered within a day.' } }
      ],
      edges: [
        { from: 'trigger', to: 'ask' },
        { from: 'ask', to: 'approved' },
        { from: 'ask', port: 'timeout', to: 'too_late' }
      ]
    },
    sample: { id: 4711, what: 'a trip' }
  }
];
