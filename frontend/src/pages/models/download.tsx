/** Links to the files of a version, asked for when somebody wants them: they end after minutes. */
import { useState } from "preact/hooks";
import { api, ask, type Schemas } from "../../api/client";
import { asProblem, type Problem } from "../../api/problem";
import { config } from "../../api/session";
import { bytes } from "../../format";
import { Failure } from "../../ui/state";

export function Download({ version }: { version: string }) {
  const [files, setFiles] = useState<Schemas["ModelFile"][]>();
  const [problem, setProblem] = useState<Problem>();
  const list = async () => {
    setProblem(undefined);
    try {
      const params = { path: { version } };
      setFiles((await ask(api().GET("/models/{version}/files", { params }))).items);
    } catch (error) {
      setProblem(asProblem(error, config.value.api));
    }
  };
  if (problem) return <Failure problem={problem} />;
  if (!files) {
    return (
      <button type="button" class="secondary small" onClick={() => void list()}>
        Download this version
      </button>
    );
  }
  return (
    <ul class="downloads">
      {files.map((file) => (
        <li key={file.name}>
          <a href={file.url} download>
            {file.name}
          </a>{" "}
          <small>{bytes(file.bytes)}</small>
        </li>
      ))}
    </ul>
  );
}
