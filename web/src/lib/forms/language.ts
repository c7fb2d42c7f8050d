import { StreamLanguage, type StreamParser } from '@codemirror/language';

/** JMESPath and templates as CodeMirror colours them. In a template, what stands in {{ }} is JMESPath. */
interface State {
  inside: boolean;
}

const FUNCTIONS =
  /^(abs|avg|ceil|contains|ends_with|floor|from_items|items|join|keys|length|map|max|max_by|merge|min|min_by|not_null|reverse|sort|sort_by|starts_with|sum|to_array|to_number|to_string|type|values|zip|[a-z_]+)(?=\()/;

function parser(template: boolean): StreamParser<State> {
  return {
    startState: () => ({ inside: !template }),
    token(stream, state) {
      if (!state.inside) {
        if (stream.match('{{')) {
          state.inside = true;
          return 'brace';
        }
        if (!stream.skipTo('{{')) stream.skipToEnd();
        return 'string';
      }
      if (template && stream.match('}}')) {
        state.inside = false;
        return 'brace';
      }
      if (stream.eatSpace()) return null;
      if (stream.match(/^'(?:\\.|[^'\\])*'/) || stream.match(/^`(?:\\.|[^`\\])*`/)) return 'string';
      if (stream.match(/^"(?:\\.|[^"\\])*"/)) return 'propertyName';
      if (stream.match(/^-?\d+/)) return 'number';
      if (stream.match(FUNCTIONS)) return 'keyword';
      if (stream.match(/^(input|trigger|steps|run|loop|status|headers|body|secrets)\b/)) return 'atom';
      if (stream.match(/^[A-Za-z_]\w*/)) return 'propertyName';
      if (stream.match(/^(\|\||&&|==|!=|<=|>=|[<>!|&@*?])/)) return 'operator';
      stream.next();
      return null;
    }
  };
}

export const expression = StreamLanguage.define(parser(false));
export const template = StreamLanguage.define(parser(true));
