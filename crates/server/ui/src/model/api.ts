// Asks the node. One function a resource, errors as ApiError with a code that the page designs for.
// Must not draw, must not remember answers; the token lives in memory only.

export const ROOT = '/admin/api/v1/keyviz/';
let token = '';

export function setToken(value: string): void { token = value; }

export class ApiError extends Error {
  constructor(readonly status: number, readonly code: string, message: string) {
    super(message);
  }

  /** Also where so many were refused that the node no longer says why: the right token gets in. */
  get needsToken(): boolean { return this.status === 401 || this.status === 403 || this.code === 'too_many_refusals'; }
}

export type Json = Record<string, unknown>;
export type Params = Record<string, string | number | null | undefined>;

/**
 * JSON.parse that keeps u64 exact: integers beyond 2^53 come back as BigInt where the engine shows the
 * source text. The slow way is taken only when such a run of digits occurs at all.
 */
export function parseExact(text: string): unknown {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  const revive = (_key: string, value: unknown, context?: { source?: string }): unknown => {
    if (typeof value !== 'number' || Number.isSafeInteger(value)) return value;
    const source = context?.source;
    return source && /^\d+$/.test(source) ? BigInt(source) : value;
  };
  return JSON.parse(text, revive as Parameters<typeof JSON.parse>[1]);
}

export function address(path: string, params: Params): URL {
  const url = new URL(ROOT + path, location.origin);
  for (const [name, value] of Object.entries(params)) {
    if (value !== null && value !== undefined && value !== '') url.searchParams.set(name, String(value));
  }
  return url;
}

async function get(path: string, params: Params, signal?: AbortSignal): Promise<Json> {
  const headers: Record<string, string> = { accept: 'application/json' };
  if (token) headers.authorization = `Bearer ${token}`;
  let response: Response;
  let text: string;
  try {
    response = await fetch(address(path, params), { headers, signal: signal ?? null, cache: 'no-store', credentials: 'same-origin' });
    text = await response.text();
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError(0, 'unreachable', 'The node does not answer.');
  }
  let body: unknown = null;
  try {
    body = parseExact(text);
  } catch {
    if (response.ok) throw new ApiError(response.status, 'bad_answer', 'The node answered with something that is not JSON.');
  }
  if (!response.ok) {
    const told = (body ?? {}) as Json;
    const message = typeof told.message === 'string' ? told.message : `HTTP ${response.status}`;
    throw new ApiError(response.status, typeof told.error === 'string' ? told.error : `http_${response.status}`, message);
  }
  if (body === null || typeof body !== 'object') throw new ApiError(response.status, 'bad_answer', 'The node answered with something that is not a JSON object.');
  return body as Json;
}

export const isAbort = (error: unknown): boolean => error instanceof DOMException && error.name === 'AbortError';

export const fetchMatrix = (params: Params, signal?: AbortSignal): Promise<Json> => get('matrix', params, signal);
export const fetchEvents = (params: Params, signal?: AbortSignal): Promise<Json> => get('events', params, signal);
export const fetchLineage = (params: Params, signal?: AbortSignal): Promise<Json> => get('lineage', params, signal);
export const fetchRetention = (signal?: AbortSignal): Promise<Json> => get('gc', {}, signal);
export const fetchPins = (signal?: AbortSignal): Promise<Json> => get('pins', {}, signal);
