import { expect, test } from "vitest";
import { pictureOf, videoAt, videosIn } from "../../src/image/youtube";

const ID = "dQw4w9WgXcQ";

test.each([
  `https://www.youtube.com/watch?v=${ID}`,
  `https://www.youtube.com/watch?list=PL1&v=${ID}&t=42s#here`,
  `youtube.com/watch?v=${ID}`,
  `https://m.youtube.com/watch?v=${ID}&feature=share`,
  `https://music.youtube.com/watch?v=${ID}`,
  `https://YOUTUBE.com/watch?v=${ID}`,
  `https://youtu.be/${ID}?si=abc`,
  `https://www.youtube.com/shorts/${ID}`,
  `https://www.youtube.com/live/${ID}?feature=share`,
  `https://www.youtube-nocookie.com/embed/${ID}?rel=0`,
  `https://i.ytimg.com/vi/${ID}/hqdefault.jpg`,
  `https://img.youtube.com/vi/${ID}/0.jpg`,
  `https://i9.ytimg.com/vi_webp/${ID}/hq720.webp?sqp=CPT&rs=AOn4`,
  `https://studio.youtube.com/video/${ID}/edit`,
  `https://www.youtube.com/watch/${ID}`,
  `https://youtu.be/watch?v=${ID}`,
  `//www.youtube.com/embed/${ID}`,
  `youtube.com/watch?v=${ID}&url=https://example.com/`,
  `https://youtu.be/${ID}&t=42`,
  `https://www.youtube.com/watch?v=${ID}?si=abc`,
  `https://youtu.be/${ID}.`,
  `<https://youtu.be/${ID}?t=42>,`,
  `("https://www.youtube.com/watch?v=${ID}")`,
])("%s is the address of a video", (address) => {
  expect(videoAt(address)).toBe(ID);
});

test.each([
  "",
  "information",
  "https://www.youtube.com/",
  "https://www.youtube.com/@channel",
  "https://www.youtube.com/playlist?list=PL0123456789",
  `https://www.youtube.com/watch?v=${ID}x`,
  `https://youtube.com.example.com/watch?v=${ID}`,
  `https://notyoutube.com/watch?v=${ID}`,
  `https://youtube.com@127.0.0.1/watch?v=${ID}`,
  `https://youtube.com:8080/watch?v=${ID}`,
  `file://youtube.com/watch?v=${ID}`,
  `https://youtu.be/${ID}?${"x".repeat(500)}`,
  `https://youtu.be/${ID.slice(1)}`,
  "https://www.youtube.com/embed/videoseries?list=PL0123456789",
  "https://www.youtube.com/embed/live_stream?channel=UC0123456789",
])("%s is none", (address) => {
  expect(videoAt(address)).toBeNull();
});

test("several addresses are several videos, and any other word makes them none", () => {
  const text = ` https://youtu.be/${ID}\nhttps://youtu.be/abcdefghi-_ `;
  expect(videosIn(text)).toEqual([ID, "abcdefghi-_"]);
  expect(videosIn(`see ${text}`)).toBeNull();
  expect(videosIn("")).toBeNull();
});

test("the picture is the one that the service fetched", () => {
  expect(pictureOf(ID)).toContain(`/${ID}/hqdefault.jpg`);
  expect(pictureOf(ID, { width: 480, height: 360 })).toContain("hqdefault");
  expect(pictureOf(ID, { width: 1280, height: 720 })).toContain("maxresdefault");
});
