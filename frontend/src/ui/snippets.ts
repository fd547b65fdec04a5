/** The request that the page just made, as a program of the reader's own. */

export interface Snippet {
  language: string;
  code: string;
}

export interface Service {
  /** The API's address. */
  api: string;
  /** Whether the request needs a key, which the program reads from the variable TOKEN. */
  secret: boolean;
}

/** For a POSIX shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** curl reads `;` and `,` in a path as its own, unless the path is in double quotes. */
const curlFile = (field: string, name: string): string =>
  quoted(`${field}=@"${name.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`);

const curlKey = (secret: boolean) => (secret ? '--header "authorization: Bearer $TOKEN" ' : "");
const pythonImport = (secret: boolean) => (secret ? "import os\n\n" : "");
const pythonKey = (secret: boolean) =>
  secret ? ', headers={"authorization": f"Bearer {os.environ[\'TOKEN\']}"}' : "";
const scriptKey = (secret: boolean) =>
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is a template of the program
  secret ? "headers: { authorization: `Bearer ${process.env.TOKEN}` }" : "";

/** A request to `/predict` for one image, or to `/predict-batch` for several. */
export const ofFiles = (service: Service, names: readonly string[]): Snippet[] =>
  names.length === 1 ? ofFile(service, names[0] ?? "") : ofSeveral(service, names);

function ofFile({ api, secret }: Service, name: string): Snippet[] {
  const [url, file] = [JSON.stringify(`${api}/predict`), JSON.stringify(name)];
  const key = secret ? `, ${scriptKey(secret)}` : "";
  return [
    {
      language: "curl",
      code: `curl ${curlKey(secret)}--form ${curlFile("file", name)} ${quoted(`${api}/predict`)}`,
    },
    {
      language: "Python",
      code: `${pythonImport(secret)}import requests

with open(${file}, "rb") as image:
    answer = requests.post(${url}, files={"file": image}, timeout=30${pythonKey(secret)})
answer.raise_for_status()
print(answer.json()["prediction"], answer.json()["probability"])`,
    },
    {
      language: "JavaScript",
      code: `import { openAsBlob } from "node:fs";

const form = new FormData();
form.append("file", await openAsBlob(${file}), ${file});
const answer = await fetch(${url}, { method: "POST", body: form${key} });
if (!answer.ok) throw new Error(await answer.text());
const { prediction, probability } = await answer.json();
console.log(prediction, probability);`,
    },
  ];
}

function ofSeveral({ api, secret }: Service, names: readonly string[]): Snippet[] {
  const [url, list] = [JSON.stringify(`${api}/predict-batch`), JSON.stringify(names)];
  const forms = names.map((name) => `--form ${curlFile("files", name)}`).join(" \\\n  ");
  const key = secret ? `, ${scriptKey(secret)}` : "";
  return [
    {
      language: "curl",
      code: `curl ${curlKey(secret)}${forms} \\\n  ${quoted(`${api}/predict-batch`)}`,
    },
    {
      language: "Python",
      code: `${pythonImport(secret)}import requests

names = ${list}
images = [("files", (name, open(name, "rb"))) for name in names]
answer = requests.post(${url}, files=images, timeout=60${pythonKey(secret)})
answer.raise_for_status()
for result in answer.json()["results"]:
    print(result)`,
    },
    {
      language: "JavaScript",
      code: `import { openAsBlob } from "node:fs";

const form = new FormData();
for (const name of ${list}) form.append("files", await openAsBlob(name), name);
const answer = await fetch(${url}, { method: "POST", body: form${key} });
if (!answer.ok) throw new Error(await answer.text());
for (const result of (await answer.json()).results) console.log(result);`,
    },
  ];
}

/** A request to `/predict` for the thumbnail of a YouTube video, by its id. */
export function ofVideo({ api, secret }: Service, video: string): Snippet[] {
  const url = JSON.stringify(`${api}/predict`);
  const body = JSON.stringify({ youtube: `https://youtu.be/${video}` });
  const json = '"content-type": "application/json"';
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is a template of the program
  const key = secret ? ", authorization: `Bearer ${process.env.TOKEN}`" : "";
  return [
    {
      language: "curl",
      code: `curl ${curlKey(secret)}--header 'content-type: application/json' \\
  --data ${quoted(body)} ${quoted(`${api}/predict`)}`,
    },
    {
      language: "Python",
      code: `${pythonImport(secret)}import requests

answer = requests.post(${url}, json=${body}, timeout=30${pythonKey(secret)})
answer.raise_for_status()
print(answer.json()["prediction"], answer.json()["probability"])`,
    },
    {
      language: "JavaScript",
      code: `const answer = await fetch(${url}, {
  method: "POST",
  headers: { ${json}${key} },
  body: JSON.stringify(${body}),
});
if (!answer.ok) throw new Error(await answer.text());
const { prediction, probability } = await answer.json();
console.log(prediction, probability);`,
    },
  ];
}

/** The results of a batch, as a file of comma-separated values. */
export function ofBatch(api: string, batch: string): Snippet[] {
  const address = `${api}/batches/${encodeURIComponent(batch)}/results?format=csv`;
  const url = JSON.stringify(address);
  return [
    {
      language: "curl",
      code: `curl --fail --location ${curlKey(true)}\\
  --output results.csv ${quoted(address)}`,
    },
    {
      language: "Python",
      code: `${pythonImport(true)}import requests

answer = requests.get(${url}, timeout=60${pythonKey(true)})
answer.raise_for_status()
with open("results.csv", "wb") as file:
    file.write(answer.content)`,
    },
    {
      language: "JavaScript",
      code: `import { writeFile } from "node:fs/promises";

const answer = await fetch(${url}, {
  ${scriptKey(true)},
});
if (!answer.ok) throw new Error(await answer.text());
await writeFile("results.csv", await answer.text());`,
    },
  ];
}
