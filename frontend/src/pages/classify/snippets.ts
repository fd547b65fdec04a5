/** The request that the page just made, as a program of the reader's own. */

/** Up to so many names are written out; more read as a list all the same. */
const NAMED = 3;

/** For a POSIX shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** curl reads `;` and `,` in a path as its own, unless the path is in double quotes. */
const curlFile = (field: string, name: string): string =>
  quoted(`${field}=@"${name.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`);

export interface Snippet {
  language: string;
  code: string;
}

/** The same request for `names` in three languages: `/predict` for one image, else `/predict-batch`. */
export function snippets(api: string, names: readonly string[]): Snippet[] {
  return names.length === 1 ? single(api, names[0] ?? "") : several(api, names.slice(0, NAMED));
}

function single(api: string, name: string): Snippet[] {
  const [url, file] = [JSON.stringify(`${api}/predict`), JSON.stringify(name)];
  return [
    { language: "curl", code: `curl --form ${curlFile("file", name)} ${quoted(`${api}/predict`)}` },
    {
      language: "Python",
      code: `import requests

with open(${file}, "rb") as image:
    answer = requests.post(${url}, files={"file": image}, timeout=30)
answer.raise_for_status()
print(answer.json()["prediction"], answer.json()["probability"])`,
    },
    {
      language: "JavaScript",
      code: `import { openAsBlob } from "node:fs";

const form = new FormData();
form.append("file", await openAsBlob(${file}), ${file});
const answer = await fetch(${url}, { method: "POST", body: form });
if (!answer.ok) throw new Error(await answer.text());
const { prediction, probability } = await answer.json();
console.log(prediction, probability);`,
    },
  ];
}

function several(api: string, names: readonly string[]): Snippet[] {
  const [url, list] = [JSON.stringify(`${api}/predict-batch`), JSON.stringify(names)];
  const forms = names.map((name) => `--form ${curlFile("files", name)}`).join(" ");
  return [
    { language: "curl", code: `curl ${forms} ${quoted(`${api}/predict-batch`)}` },
    {
      language: "Python",
      code: `import requests

names = ${list}
images = [("files", (name, open(name, "rb"))) for name in names]
answer = requests.post(${url}, files=images, timeout=60)
answer.raise_for_status()
for result in answer.json()["results"]:
    print(result)`,
    },
    {
      language: "JavaScript",
      code: `import { openAsBlob } from "node:fs";

const form = new FormData();
for (const name of ${list}) form.append("files", await openAsBlob(name), name);
const answer = await fetch(${url}, { method: "POST", body: form });
if (!answer.ok) throw new Error(await answer.text());
for (const result of (await answer.json()).results) console.log(result);`,
    },
  ];
}
