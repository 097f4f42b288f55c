// What this page asks the server, and what its refusals mean.

let token = ""; // in memory alone

/** A request that the server did not answer with what was asked for. */
export class Refused extends Error {
  /**
   * @param {number} status of HTTP; 0: there was no answer.
   * @param {string} message one sentence.
   * @param {number} retryMs when it is worth another try; 0: it is not.
   */
  constructor(status, message, retryMs = 0) {
    super(message);
    this.status = status;
    this.retryMs = retryMs;
  }

  get isBusy() {
    return [429, 503].includes(this.status);
  }
}

/** Keep the token for what is asked from now on. */
export function useToken(text) {
  token = text.trim();
}

/** Whether a token was given. */
export function hasToken() {
  return token !== "";
}

/** The subprotocols of a WebSocket, which carry the token: browsers set no headers there. */
export function protocols() {
  return token ? ["depthrt", `bearer.${token}`] : ["depthrt"];
}

/** The address of a path of this server, wherever the page lies. */
export function address(path) {
  return new URL(path, document.baseURI);
}

/**
 * Ask the server.
 * @returns {Promise<Response>} an answer of 200 to 299.
 * @throws {Refused} anything else, and where there is no answer.
 */
export async function ask(path, options = {}) {
  const headers = new Headers(options.headers);
  if (token) headers.set("Authorization", `Bearer ${token}`);
  let answer;
  try {
    answer = await fetch(address(path), { ...options, headers, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The server does not answer. It may have ended, or the network is gone.");
  }
  if (answer.ok) return answer;
  throw await refusal(answer);
}

async function refusal(answer) {
  let message = `The server answered ${answer.status}.`;
  try {
    message = sentence((await answer.json()).error.message);
  } catch {
    // no JSON of ours: a proxy between, say
  }
  const exactMs = Number(answer.headers.get("depthrt-retry-after-ms"));
  const wholeMs = 1000 * Number(answer.headers.get("retry-after"));
  return new Refused(answer.status, message, exactMs || wholeMs || 0);
}

/** A message of the server as a sentence: a capital first, a full stop last. */
export function sentence(text) {
  const said = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(said) ? said : `${said}.`;
}

/** What Server-Timing and the batch header say, in milliseconds and images. */
export function timing(headers) {
  const found = {};
  for (const [, name, value] of (headers.get("server-timing") ?? "").matchAll(/(\w+);dur=([\d.]+)/g)) {
    found[`${name}Ms`] = Number(value);
  }
  const batch = Number(headers.get("depthrt-batch"));
  return batch ? { ...found, batch } : found;
}
