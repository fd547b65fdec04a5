/** Videos of YouTube, by their addresses. The service decides which it fetches; see its `youtube`. */
import type { Size } from "./size";

const ID = /^[\w-]{11}$/;

/** Characters of an address at most, as in the service. */
export const MAX_ADDRESS = 500;

const PAGES = /^((www|m|music|studio)\.)?youtube\.com$|^(www\.)?youtube-nocookie\.com$/;
const SHORT = /^(www\.)?youtu\.be$/;
const IMAGES = /^(i[1-9]?\.ytimg|img\.youtube)\.com$/;
const FOLDERS = /^\/(e|embed|live|shorts|v|vi|vi_webp|video|watch)\/([^/]*)/;

/** Words of 11 letters in the place of an id: of a playlist and of a channel. */
const NO_IDS = ["videoseries", "live_stream"];

/** Characters that a sentence or a chat puts before and after an address. */
const AROUND = /^[<>()[\]{}"'.,;:!?]+|[<>()[\]{}"'.,;:!?]+$/g;

/** The id of the video at the address in `text`, with or without its scheme; null for any other text. */
export function videoAt(text: string): string | null {
  const address = text.replace(AROUND, "");
  if (address.length > MAX_ADDRESS || !address.includes("/")) return null;
  let url: URL;
  try {
    const hasScheme = address.split("?", 1)[0]?.includes("://");
    url = new URL(hasScheme ? address : `https://${address.replace(/^\/\//, "")}`);
  } catch {
    return null;
  }
  if (!/^https?:$/.test(url.protocol) || url.port || url.username || url.password) return null;
  const host = url.hostname;
  let found: string | null | undefined;
  const isPage = PAGES.test(host);
  if ((isPage || SHORT.test(host)) && /^\/watch\/?$/.test(url.pathname))
    found = url.searchParams.get("v");
  else if (SHORT.test(host)) found = url.pathname.slice(1).replace(/\/$/, "");
  else if (isPage || IMAGES.test(host)) found = FOLDERS.exec(url.pathname)?.[2];
  // As in youtu.be/ID&t=42, joined by hand.
  const id = found?.split(/[&?]/, 1)[0];
  return id && ID.test(id) && !NO_IDS.includes(id) ? id : null;
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
