// panel.js: what stands in place of the picture: loading, empty, error, no token. And the banner above it.
// Must not fetch; every button calls an action it is given.

import { el, fill } from './dom.js';
import { dateTime, span, zoneName } from './format.js';

const spanText = (s) => (s.live ? `the last ${span(s.to - s.from)}` : `${dateTime(s.from, s.tz)} – ${dateTime(s.to, s.tz)} ${zoneName(s.to, s.tz)} (${span(s.to - s.from)})`);
const button = (text, fn, main) => el(main ? 'button.go' : 'button.quiet', { type: 'button', onclick: fn }, text);

/** True when this panel is not the one shown already: a refresh must not take a button from under the mouse. */
function opens(node, ...key) {
  const now = JSON.stringify(key);
  const same = !node.hidden && node.dataset.now === now;
  node.dataset.now = now;
  node.hidden = false;
  return !same;
}

export function showLoading(node) {
  if (!opens(node, 'loading')) return;
  fill(node, el('div.card', { role: 'status' }, el('p.big', null, 'Reading history'), el('p', null, 'The node is putting the matrix together.')));
}

export function showEmpty(node, s, actions) {
  if (!opens(node, 'empty', spanText(s), s.start, s.end)) return;
  fill(node, el('div.card', null,
    el('p.big', null, 'No history yet'),
    el('p', null, s.start || s.end ? 'No range overlaps these keys in this span:' : 'No range is known in this span:'),
    el('p.num', null, spanText(s)),
    el('p', null, 'History appears here as soon as a store sends its first column, or a trace is replayed into this node.'),
    el('div.buttons', null,
      button('Find recorded history', actions.find, true),
      (s.start || s.end) && button('All keys', actions.allKeys),
      button('Last 7 days', actions.week))));
}

export function showError(node, error, s, actions) {
  if (!opens(node, 'error', error.status, error.code, error.message, spanText(s))) return;
  const asked = error.status >= 400 && error.status < 500;
  const title = error.status === 0 ? 'The node does not answer' : asked ? 'The node refused this question' : error.code === 'keyviz_disabled' ? 'Keyviz is switched off on this node' : 'The node could not answer';
  fill(node, el('div.card', { role: 'alert' },
    el('p.big', null, title),
    el('p', null, error.status === 0 ? 'It may be starting, or the connection is gone. Nothing is lost: what it acknowledged, it keeps.' : error.message),
    el('p.num', null, spanText(s)),
    error.status > 0 && el('p.code', null, `${error.status} ${error.code}`),
    el('div.buttons', null, button('Try again', actions.retry, true), asked && button('Last 15 minutes', actions.reset), asked && button('Back', actions.back))));
}

/** 401 and 403: asks for a token, which is kept in this page's memory and nowhere else. */
export function showLogin(node, error, refused, submit) {
  if (!opens(node, 'login', error.status, refused)) return;
  const box = el('input', { type: 'password', id: 'token', autocomplete: 'off', spellcheck: 'false', 'aria-label': 'Access token' });
  const form = el('form.buttons', null, box, el('button.go', { type: 'submit' }, 'Open'));
  form.addEventListener('submit', (e) => {
    e.preventDefault();
    if (box.value.trim() !== '') submit(box.value.trim());
  });
  fill(node, el('div.card', null,
    el('p.big', null, error.status === 403 ? 'This token may not read' : 'This node asks for a token'),
    el('p', null, refused ? 'That token was refused. Check it against the node’s token file.' : 'Enter a read token. It stays in this page’s memory and is gone on reload.'),
    form));
  box.focus();
}

export function hidePanel(node) {
  if (node.hidden) return;
  node.hidden = true;
  node.replaceChildren();
}

/** One line above the picture: `kind` is 'warn' or 'error'; null hides it. */
export function banner(node, kind, text, action) {
  node.hidden = !kind;
  if (!kind) {
    node.replaceChildren();
    return;
  }
  const now = `${kind}|${text}|${action?.[0] ?? ''}`;
  if (node.dataset.now === now && node.childNodes.length) return;
  node.dataset.now = now;
  node.dataset.kind = kind;
  node.setAttribute('role', kind === 'error' ? 'alert' : 'status');
  fill(node, el('span', null, text), action && button(action[0], action[1]));
}

export function nodesText(nodes) {
  const bad = nodes.filter((n) => !n.ok);
  const list = bad.slice(0, 4).map((n) => (n.error ? `${n.id} (${n.error})` : n.id)).join(', ');
  const more = bad.length > 4 ? ` and ${bad.length - 4} more` : '';
  return bad.length
    ? `Partial answer: ${bad.length} of ${nodes.length} nodes did not answer: ${list}${more}. What only they hold is not in this picture.`
    : 'Partial answer: part of the history could not be read.';
}
