import { expect, test } from "vitest";
import { csv, type Row } from "../../../src/pages/batch/csv";

const FAILED: Row = {
  file: "",
  prediction: null,
  is_clickbait: null,
  probability: null,
  confidence: null,
  uncertain: null,
  model_version: null,
  error: "",
  threshold: null,
};

const predicted = (
  file: string,
  prediction: Row["prediction"],
  probability: number,
  confidence: number,
  uncertain: boolean,
  threshold = 0.5,
): Row => ({
  file,
  prediction,
  is_clickbait: prediction === "clickbait_fake",
  probability,
  confidence,
  uncertain,
  model_version: "20261122-222955-c623f4",
  error: null,
  threshold,
});

/** Each with the line that `clickbait.store.results.csv_lines` writes for it. */
const WRITTEN: [Row, string][] = [
  [
    predicted("plain.jpg", "clickbait_fake", 0.912345, 0.912345, false),
    "plain.jpg,clickbait_fake,true,0.9123,0.9123,false,20261122-222955-c623f4,,0.5,clickbait",
  ],
  [
    predicted('a, "b".png', "clickbait_real", 1e-5, 0.99999, false),
    '"a, ""b"".png",clickbait_real,false,0.0,1.0,false,20261122-222955-c623f4,,0.5,legitimate',
  ],
  [
    predicted("=1+2.jpg", "clickbait_real", 0.0, 1.0, true),
    "'=1+2.jpg,clickbait_real,false,0.0,1.0,true,20261122-222955-c623f4,,0.5,unsure",
  ],
  [
    { ...FAILED, file: "'@x;y.jpg", error: 'It is no image: "JPEG", PNG or WebP,\nplease.' },
    '"\'\'@x;y.jpg","","","","","","","It is no image: ""JPEG"", PNG or WebP,\nplease.","",""',
  ],
  [
    predicted("tab\there.jpg", "clickbait_fake", 0.5, 0.5, true),
    '"tab\there.jpg","clickbait_fake","true","0.5","0.5","true","20261122-222955-c623f4","","0.5","unsure"',
  ],
  [{ ...FAILED, file: "two\nlines.jpg", error: "-bad" }, '"two\nlines.jpg",,,,,,,\'-bad,,'],
  [
    predicted("Überraschung 😀.webp", "clickbait_fake", 1.2345678901234e-7, 0.0001, false),
    "Überraschung 😀.webp,clickbait_fake,true,0.0,0.0001,false,20261122-222955-c623f4,,0.5,clickbait",
  ],
  [{ ...FAILED, file: "\n=1.jpg", error: "＝1" }, "\"'\n=1.jpg\",,,,,,,'＝1,,"],
  [{ ...FAILED, file: "＋1.jpg", error: "a＝1" }, "'＋1.jpg,,,,,,,a＝1,,"],
  [{ ...FAILED, file: "－1.jpg", error: "'＠x" }, "'－1.jpg,,,,,,,''＠x,,"],
  [{ ...FAILED, file: "'quoted'.jpg", error: "" }, "'quoted'.jpg,,,,,,,,,"],
];

const HEADER =
  "file,prediction,is_clickbait,probability,confidence,uncertain,model_version,error,threshold,verdict";

test.each(WRITTEN)("%o is written as the service writes it", (row, line) => {
  expect(csv([row])).toBe(`${HEADER}\r\n${line}\r\n`);
});

test("each row ends with a line break", () => {
  const lines = WRITTEN.map(([, line]) => line);
  expect(csv(WRITTEN.map(([row]) => row))).toBe([HEADER, ...lines, ""].join("\r\n"));
});

test("a byte order mark comes only by choice", () => {
  expect(csv([], true)).toBe(`\ufeff${HEADER}\r\n`);
});

test("no rows give the header alone", () => {
  expect(csv([])).toBe(`${HEADER}\r\n`);
});
