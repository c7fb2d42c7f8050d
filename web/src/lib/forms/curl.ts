/** A `curl` command line as people copy it, as the config of an http_call. Pure. */
export interface HttpCall {
  url: string;
  method?: string;
  headers?: Record<string, string>;
  json?: unknown;
  form?: Record<string, string>;
  text?: string;
  auth?: { type: 'basic'; user: string; password: string } | { type: 'bearer'; token: string };
}

/** The words of a command as a POSIX shell reads them: quotes, backslashes, lines that go on. @throws Error when a quote is not closed. */
export function words(command: string): string[] {
  const found: string[] = [];
  let word: string | undefined;
  const text = command.replace(/\\\r?\n/g, ' ');
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at);
    if (/\s/.test(char)) {
      if (word !== undefined) found.push(word);
      word = undefined;
    } else if (char === "'" || char === '"') {
      const dollar = word?.endsWith('$') && char === "'";
      if (dollar) word = word?.slice(0, -1);
      let inside = '';
      for (at++; text.charAt(at) !== char; at++) {
        if (at >= text.length) throw new Error(`A quotation mark (${char}) is not closed.`);
        if (text.charAt(at) === '\\' && (char === '"' || dollar)) {
          at++;
          const escaped = text.charAt(at);
          inside += dollar
            ? ({ n: '\n', t: '\t', r: '\r' }[escaped] ?? escaped)
            : '"\\$`'.includes(escaped)
              ? escaped
              : `\\${escaped}`;
        } else inside += text.charAt(at);
      }
      word = (word ?? '') + inside;
    } else if (char === '\\') {
      at++;
      word = (word ?? '') + text.charAt(at);
    } else word = (word ?? '') + char;
  }
  if (word !== undefined) found.push(word);
  return found;
}

/** What has a value of its own behind it. */
const VALUED: Record<string, string> = {
  '-X': 'method',
  '--request': 'method',
  '-H': 'header',
  '--header': 'header',
  '-d': 'data',
  '--data': 'data',
  '--data-raw': 'data',
  '--data-binary': 'data',
  '--data-ascii': 'data',
  '--data-urlencode': 'data',
  '--json': 'json',
  '-u': 'user',
  '--user': 'user',
  '-A': 'agent',
  '--user-agent': 'agent',
  '-e': 'referer',
  '--referer': 'referer',
  '-b': 'cookie',
  '--cookie': 'cookie',
  '--url': 'url',
  '-m': '',
  '--max-time': '',
  '--connect-timeout': '',
  '-o': '',
  '--output': '',
  '--retry': '',
  '-x': '',
  '--proxy': '',
  '--cacert': '',
  '-w': '',
  '--write-out': '',
  '-F': 'multipart',
  '--form': 'multipart',
  '--oauth2-bearer': 'bearer'
};

/** @throws Error saying what can't be taken over. */
export function parseCurl(command: string): HttpCall {
  const [program, ...rest] = words(command.trim().replace(/^\$\s+/, ''));
  if (program !== 'curl') throw new Error('That is no curl command: it begins with “curl”.');
  let url = '';
  let method = '';
  let asQuery = false;
  let user = '';
  const headers: Record<string, string> = {};
  const data: string[] = [];
  let bearer = '';
  const apply: Record<string, (value: string) => void> = {
    method: (value) => (method = value.toUpperCase()),
    header: (value) => {
      const [name = '', ...parts] = value.split(':');
      headers[name.trim().toLowerCase()] = parts.join(':').trim();
    },
    data: (value) => {
      if (value.startsWith('@'))
        throw new Error(`The body comes from a file (${value.slice(1)}); paste what is in it instead.`);
      data.push(value);
    },
    json: (value) => {
      data.push(value);
      headers['content-type'] ??= 'application/json';
      headers.accept ??= 'application/json';
    },
    user: (value) => (user = value),
    agent: (value) => (headers['user-agent'] = value),
    referer: (value) => (headers.referer = value),
    cookie: (value) => (headers.cookie = value),
    bearer: (value) => (bearer = value),
    url: (value) => (url = value),
    multipart: () => {
      throw new Error('Forms of several parts (-F) can’t be sent by http_call.');
    }
  };
  for (let at = 0; at < rest.length; at++) {
    const word = rest[at] ?? '';
    if (!word.startsWith('-') || word === '-') {
      url ||= word;
      continue;
    }
    const [long = '', given] = word.startsWith('--')
      ? word.split(/=(.*)/s)
      : [word.slice(0, 2), word.slice(2) || undefined];
    if (long in VALUED) apply[VALUED[long] ?? '']?.(given ?? rest[++at] ?? '');
    else if (long === '-G' || long === '--get') asQuery = true;
    else if (long === '-I' || long === '--head') method = 'HEAD';
  }
  if (!url) throw new Error('The command names no URL.');
  if (!/^https?:\/\//i.test(url)) url = `http://${url}`;
  if (asQuery && data.length) url += (url.includes('?') ? '&' : '?') + data.splice(0).join('&');

  const call: HttpCall = { url };
  const body = data.join('&');
  const type = headers['content-type'] ?? '';
  if (data.length) {
    if (type.includes('json') || (!type && isJson(body))) {
      call.json = JSON.parse(body);
      delete headers['content-type'];
    } else if (!type || type.includes('x-www-form-urlencoded')) {
      call.form = Object.fromEntries(new URLSearchParams(body));
      delete headers['content-type'];
    } else call.text = body;
  }
  const wanted = method || (data.length ? 'POST' : 'GET');
  if (wanted !== 'GET') call.method = wanted;
  const token = bearer || /^bearer (.+)$/i.exec(headers.authorization ?? '')?.[1];
  if (token) {
    call.auth = { type: 'bearer', token };
    delete headers.authorization;
  } else if (user) {
    const [name = '', ...password] = user.split(':');
    call.auth = { type: 'basic', user: name, password: password.join(':') };
  }
  if (Object.keys(headers).length) call.headers = headers;
  return call;
}

function isJson(text: string): boolean {
  try {
    return typeof JSON.parse(text) === 'object';
  } catch {
    return false;
  }
}
