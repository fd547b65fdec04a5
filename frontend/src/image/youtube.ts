/** Videos of YouTube, by their addresses. The service decides which it fetches; see its `youtube`. */
import type { Size } from "./size";

const ID = /^[\w-]{11}$/;

/** Characters of an address at most, as in the service. */
export const MAX_ADDRESS = 200;

const PAGES = /^((www|m|music)\.)?youtube\.com$|^(www\.)?youtube-nocookie\.com$/;
const IMAGES = /^(i\.ytimg|img\.youtube)\.com$/;
const FOLDERS = /^\/(embed|live|shorts|v|vi|vi_webp)\/([^/]*)/;

/** The id of the video at `address`, with or without its scheme; null for any other text. */
export function videoAt(address: string): string | null {
  if (address.length > MAX_ADDRESS || !address.includes("/")) return null;
  let url: URL;
  try {
    url = new URL(address.includes("://") ? address : `https://${address}`);
  } catch {
    return null;
  }
  if (!/^https?:$/.test(url.protocol) || url.port || url.username || url.password) return null;
  const host = url.hostname;
  let found: string | null | undefined;
  if (host === "youtu.be") found = url.pathname.slice(1).replace(/\/$/, "");
  else if (PAGES.test(host) && /^\/watch\/?$/.test(url.pathname)) found = url.searchParams.get("v");
  else if (PAGES.test(host) || IMAGES.test(host)) found = FOLDERS.exec(url.pathname)?.[2];
  return found && ID.test(found) ? found : null;
}

/** The videos at the addresses in `text`, which spaces or lines divide; null if one is none. */
export function videosIn(text: string): string[] | null {
  const found = text.trim().split(/\s+/).map(videoAt);
  return found.every((video) => video !== null) ? found : null;
}

/** YouTube's smaller picture has one size; the other, with more pixels, has several. */
const SMALL: Size = { width: 480, height: 360 };

/** Where the picture of a video is that the service fetched; before that, the one all videos have. */
export function pictureOf(video: string, { width, height }: Size = SMALL): string {
  const small = width === SMALL.width && height === SMALL.height;
  return `https://i.ytimg.com/vi/${video}/${small ? "hqdefault" : "maxresdefault"}.jpg`;
}
