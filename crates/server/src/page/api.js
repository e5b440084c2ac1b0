// api.js: asks the node. One function per resource, errors as ApiError with a code that the page designs for.
// Must not draw, must not remember answers; the token lives in memory only.

const ROOT = '/admin/api/v1/keyviz/';
let token = '';

export function setToken(value) { token = value; }

export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/**
 * JSON.parse that keeps u64 exact: integers beyond 2^53 come back as BigInt where the engine shows the
 * source text. The slow way is taken only when such a run of digits occurs at all.
 */
export function parseExact(text) {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  return JSON.parse(text, (key, value, context) => {
    if (typeof value !== 'number' || Number.isSafeInteger(value)) return value;
    const source = context?.source;
    return source && /^\d+$/.test(source) ? BigInt(source) : value;
  });
}

async function get(path, params, signal) {
  const url = new URL(ROOT + path, location.origin);
  for (const [name, value] of Object.entries(params)) {
    if (value !== null && value !== undefined && value !== '') url.searchParams.set(name, value);
  }
  const headers = { accept: 'application/json' };
  if (token) headers.authorization = `Bearer ${token}`;
  let response;
  let text;
  try {
    response = await fetch(url, { headers, signal, cache: 'no-store', credentials: 'same-origin' });
    text = await response.text();
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError(0, 'unreachable', 'The node does not answer.');
  }
  let body = null;
  try {
    body = parseExact(text);
  } catch {
    if (response.ok) throw new ApiError(response.status, 'bad_answer', 'The node answered with something that is not JSON.');
  }
  if (!response.ok) {
    const message = typeof body?.message === 'string' ? body.message : `HTTP ${response.status}`;
    throw new ApiError(response.status, typeof body?.error === 'string' ? body.error : `http_${response.status}`, message);
  }
  if (body === null || typeof body !== 'object') throw new ApiError(response.status, 'bad_answer', 'The node answered with something that is not a JSON object.');
  return body;
}

export const fetchMatrix = (params, signal) => get('matrix', params, signal);
export const fetchEvents = (params, signal) => get('events', params, signal);
export const fetchLineage = (id, signal) => get('lineage', { id }, signal);
