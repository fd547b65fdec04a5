import { describe, expect, it } from "vitest";
import { sorted } from "../../src/upload/folders";

function file(path: string): File {
  const made = new File(["x"], path.split("/").at(-1) ?? "", { type: "image/jpeg" });
  if (path.includes("/")) Object.defineProperty(made, "webkitRelativePath", { value: path });
  return made;
}

const of = (...paths: string[]) => {
  const { placed, labelled, others } = sorted(paths.map(file));
  return { labels: placed.map(({ label }) => label), placed, labelled, others };
};

describe("a folder with class folders", () => {
  it("gives each image the label of its folder, in any case and at any depth", () => {
    const { labels, labelled, others } = of(
      "mine/Clickbait/a.jpg",
      "mine/LEGITIMATE/day 1/b.jpg",
      "mine/clickbait_fake/c.jpg",
      "mine/clickbait_real/d.jpg",
    );
    expect(labels).toEqual([
      "clickbait_fake",
      "clickbait_real",
      "clickbait_fake",
      "clickbait_real",
    ]);
    expect([labelled, others]).toEqual([true, []]);
  });

  it("leaves out the files of other folders, and names these with their counts", () => {
    const { placed, others } = of(
      "mine/clickbait/a.jpg",
      "mine/maybe/b.jpg",
      "mine/maybe/c.jpg",
      "mine/d.jpg",
    );
    expect(placed.map(({ why }) => why !== undefined)).toEqual([false, true, true, true]);
    expect(placed[1]?.why).toContain("clickbait or legitimate");
    expect(others).toEqual([
      { name: "mine/maybe", files: 2 },
      { name: "mine", files: 1 },
    ]);
  });

  it("may be the chosen folder itself", () => {
    expect(of("legitimate/a.jpg", "legitimate/b.jpg").labels).toEqual([
      "clickbait_real",
      "clickbait_real",
    ]);
  });

  it("does not guess between two labels", () => {
    const { placed } = of("clickbait/legitimate/a.jpg", "clickbait/b.jpg");
    expect(placed[0]).toMatchObject({ label: null, why: "In folders of both labels" });
    expect(placed[1]).toMatchObject({ label: "clickbait_fake" });
  });

  it("may have an exam folder, whose images are for the exam only", () => {
    const { placed } = of("mine/exam/clickbait/a.jpg", "mine/train/clickbait/b.jpg");
    expect(placed.map(({ exam }) => exam)).toEqual([true, false]);
  });
});

describe("a folder without class folders", () => {
  it("has no labels, and nothing is left out", () => {
    const { labels, placed, labelled, others } = of("trip/a.jpg", "trip/b.jpg", "c.jpg");
    expect(labels).toEqual([null, null, null]);
    expect(placed.every(({ why }) => why === undefined)).toBe(true);
    expect([labelled, others]).toEqual([false, []]);
  });

  it("names its subfolders if there are several: they may differ in label", () => {
    expect(of("x/fake/a.jpg", "x/real/b.jpg", "x/real/c.jpg").others).toEqual([
      { name: "x/real", files: 2 },
      { name: "x/fake", files: 1 },
    ]);
  });
});

it("files of the system are left out by name, and tell no label", () => {
  const { placed, labelled } = of(".cache/clickbait/._a.jpg", "...b.jpg", "Thumbs.db");
  expect(placed.map(({ why }) => why)).toEqual([
    "Not an image, but a file of the system",
    undefined,
    "Not an image, but a file of the system",
  ]);
  expect(labelled).toBe(false);
});
