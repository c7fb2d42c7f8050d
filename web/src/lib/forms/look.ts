import { HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { EditorView } from '@codemirror/view';
import { tags } from '@lezer/highlight';

/** CodeMirror in the colours of the pages, light and dark. */
export const look = [
  EditorView.theme({
    '&': { fontSize: '0.8125rem', backgroundColor: 'transparent', color: 'var(--text)' },
    '&.cm-focused': { outline: 'none' },
    '.cm-content': { fontFamily: 'var(--mono)', padding: '5px 0', caretColor: 'var(--text)' },
    '.cm-line': { padding: '0 8px' },
    '.cm-cursor': { borderLeftColor: 'var(--text)' },
    '&.cm-focused .cm-selectionBackground, .cm-selectionBackground': {
      backgroundColor: 'color-mix(in srgb, var(--accent) 25%, transparent) !important'
    },
    '.cm-tooltip': {
      border: '1px solid var(--line)',
      borderRadius: '6px',
      backgroundColor: 'var(--surface)',
      color: 'var(--text)'
    },
    '.cm-tooltip-autocomplete ul li[aria-selected]': { backgroundColor: 'var(--accent-soft)', color: 'var(--text)' },
    '.cm-matchingBracket': { backgroundColor: 'var(--surface-3) !important' }
  }),
  syntaxHighlighting(
    HighlightStyle.define([
      { tag: tags.string, color: 'var(--ok)' },
      { tag: [tags.number, tags.bool, tags.null], color: 'var(--warn)' },
      { tag: tags.keyword, color: 'var(--wait)' },
      { tag: [tags.atom, tags.brace], color: 'var(--accent)' },
      { tag: tags.propertyName, color: 'var(--text)' },
      { tag: tags.operator, color: 'var(--text-2)' }
    ])
  )
];
