import { describe, expect, it } from 'vitest';
import { parseCurl, words } from './curl';

describe('words of a command line', () => {
  it.each([
    [`curl 'a b' "c \\"d\\"" e\\ f`, ['curl', 'a b', 'c "d"', 'e f']],
    ['curl \\\n  -X POST', ['curl', '-X', 'POST']],
    [`curl $'it\\'s\\n'`, ['curl', "it's\n"]],
    [`curl ''`, ['curl', '']]
  ])('%s', (command, found) => expect(words(command)).toEqual(found));

  it('says when a quotation mark is not closed', () => expect(() => words("curl 'a")).toThrow('not closed'));
});

describe('curl as http_call', () => {
  it('takes a JSON body, and what its header said is said by it', () =>
    expect(
      parseCurl(`curl -X POST https://api.example.com/orders -H 'Content-Type: application/json' -d '{"id": 1}'`)
    ).toEqual({
      url: 'https://api.example.com/orders',
      method: 'POST',
      json: { id: 1 }
    }));

  it('takes what a browser copies', () =>
    expect(
      parseCurl(`curl 'https://x.example/a?b=c' \\\n  -H 'accept: */*' \\\n  --data-raw 'a=1&b=two' \\\n  --compressed`)
    ).toEqual({
      url: 'https://x.example/a?b=c',
      method: 'POST',
      headers: { accept: '*/*' },
      form: { a: '1', b: 'two' }
    }));

  it('takes proofs of who one is', () => {
    expect(parseCurl('curl -u ada:pa:ss example.com')).toEqual({
      url: 'http://example.com',
      auth: { type: 'basic', user: 'ada', password: 'pa:ss' }
    });
    expect(parseCurl(`curl https://x.example -H "Authorization: Bearer t-1"`)).toEqual({
      url: 'https://x.example',
      auth: { type: 'bearer', token: 't-1' }
    });
  });

  it('puts data into the query when told so', () =>
    expect(parseCurl('curl -G https://x.example/s -d q=1 -d r=2')).toEqual({ url: 'https://x.example/s?q=1&r=2' }));

  it('takes flags written without a space', () =>
    expect(parseCurl('curl -XDELETE https://x.example/1')).toEqual({ url: 'https://x.example/1', method: 'DELETE' }));

  it.each([
    ['wget https://x.example', 'no curl command'],
    ['curl -X POST', 'names no URL'],
    ['curl https://x.example -d @body.json', 'comes from a file'],
    ['curl https://x.example -F file=@a', 'several parts']
  ])('refuses %s', (command, why) => expect(() => parseCurl(command)).toThrow(why));
});
