// A clip: sent up, computed by the server, and played beside its depth.
import { noticeProgress, withPatience } from "./notice.js";
import { ask } from "./server.js";
import { pause } from "./stream.js";

const ENDINGS = /\.(mp4|m4v|mov|mkv|webm|avi|ts|mpg|mpeg|flv|ogv)$/i;
const ASK_MS = 400;

/** Whether a file is a clip. */
export function isClip(file) {
  return file.type.startsWith("video/") || ENDINGS.test(file.name);
}

export async function runClip(file, job) {
  throw new Error("not yet");
}
