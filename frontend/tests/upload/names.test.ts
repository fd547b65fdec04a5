import { expect, test } from "vitest";
import { MAX_NAME } from "../../src/api/limits";
import { namesOf, split } from "../../src/upload/names";

function file(path: string, type = "image/jpeg"): File {
  const file = new File([], path.split("/").at(-1) ?? "", { type });
  const folder = path.includes("/") ? path : "";
  Object.defineProperty(file, "webkitRelativePath", { value: folder });
  return file;
}

test("a file in a folder is named by its path", () => {
  expect(namesOf([file("trip/day 1/a.jpg"), file("b.jpg")])).toEqual(["trip/day 1/a.jpg", "b.jpg"]);
});

test("no two files have the same name", () => {
  const chosen = [
    "a.jpg",
    "a.jpg",
    "a (2).jpg",
    "a.jpg",
    "no-ending",
    "no-ending",
    "x.y/no",
    "x.y/no",
  ];
  const names = namesOf(chosen.map((path) => file(path)));
  expect(names).toEqual([
    "a.jpg",
    "a (2).jpg",
    "a (2) (2).jpg",
    "a (3).jpg",
    "no-ending",
    "no-ending (2)",
    "x.y/no",
    "x.y/no (2)",
  ]);
});

test("files keep their names when they are chosen again", () => {
  const chosen = ["a.jpg", "a.jpg", "b/a.jpg"].map((path) => file(path));
  expect(namesOf(chosen)).toEqual(namesOf([...chosen]));
});

test("ten thousand files of one name get different names", () => {
  const names = namesOf(Array.from({ length: 10_000 }, () => file("a.jpg")));
  expect(new Set(names).size).toBe(10_000);
});

test("a name is never longer than the limit, and keeps its end", () => {
  const long = `folder/${"x".repeat(2_000)}.jpg`;
  for (const name of namesOf([file(long), file(long)])) {
    expect(name.length).toBeLessThanOrEqual(MAX_NAME);
    expect(name.endsWith(".jpg")).toBe(true);
  }
});

test("of a folder the images are taken, and any file that was chosen by itself; the rest is named", () => {
  const { images, others } = split([
    file("trip/a.jpg"),
    file("trip/.hidden.jpg"),
    file("trip/photo.HEIC", ""),
    file("trip/notes.txt", "text/plain"),
    file("trip/Thumbs.db", ""),
    file("trip/._a.jpg"),
    file("notes.txt", "text/plain"),
    file(".DS_Store", ""),
  ]);
  const names = ["a.jpg", ".hidden.jpg", "photo.HEIC", "notes.txt"];
  expect(images.map((one) => one.name)).toEqual(names);
  expect(others).toEqual([
    { name: "trip/notes.txt", why: "not an image" },
    { name: "trip/Thumbs.db", why: "made by the system" },
    { name: "trip/._a.jpg", why: "made by the system" },
    { name: ".DS_Store", why: "made by the system" },
  ]);
});
