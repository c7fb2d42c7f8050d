/** Text as one sees what is there: marks that hide, turn round or break a line are written out. */
const UNSEEN =
  /[\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202f\u205f-\u206f\u3164\ufeff\ufff9-\ufffb]/g;

export const visible = (text: string): string =>
  text.replaceAll(UNSEEN, (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** The beginning of a string, quoted as in JSON. */
export function quoted(text: string, length: number): string {
  const cut = text.length > length;
  return visible(JSON.stringify(cut ? text.slice(0, length) : text)) + (cut ? '…' : '');
}
