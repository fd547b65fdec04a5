/** What the uploads of a batch need from their user: patience, another try, files that were lost. */
import { useEffect, useRef, useState } from "preact/hooks";
import { api, ask } from "../../api/client";
import { asProblem, type Problem } from "../../api/problem";
import { config, token } from "../../api/session";
import { count, plural } from "../../format";
import { announce } from "../../ui/announce";
import { Confirm } from "../../ui/confirm";
import { DropZone } from "../../ui/drop-zone";
import { Failure } from "../../ui/state";
import type { Told, Uploads } from "./uploads";
import { type Batch, milestone, uploadsInWords } from "./words";

/** Names that are told before the others are only counted. */
const NAMED = 10;

function Names({ of }: { of: readonly { name: string; why?: string }[] }) {
  return (
    <ul class="names">
      {of.slice(0, NAMED).map(({ name, why }) => (
        <li key={name}>
          {name}
          {why && <small>{why}</small>}
        </li>
      ))}
      {of.length > NAMED && <li>and {plural(of.length - NAMED, "other")}</li>}
    </ul>
  );
}

/** A button that ends the waiting for files, after a question. */
function End({
  label,
  title,
  end,
  children,
}: {
  label: string;
  title: string;
  end: () => Promise<void>;
  children: string;
}) {
  const [asked, setAsked] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const confirm = async () => {
    setBusy(true);
    setProblem(undefined);
    try {
      await end();
      setAsked(false);
    } catch (error) {
      setProblem(asProblem(error, config.value.api));
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <button type="button" class="secondary small" onClick={() => setAsked(true)}>
        {label}
      </button>
      {asked && (
        <Confirm
          title={title}
          action={label}
          busy={busy}
          onConfirm={() => void confirm()}
          onClose={() => setAsked(false)}
        >
          <p>{children}</p>
          {problem && <Failure problem={problem} />}
        </Confirm>
      )}
    </>
  );
}

function Lacking({ uploads, told }: { uploads: Uploads; told: Told }) {
  const [none, setNone] = useState(false);
  return (
    <div class="card attention">
      <h3>{plural(told.lacking.length, "file")} to be chosen again</h3>
      <p>
        The page was left before it had read them, and a browser gives no file twice without being
        asked. Choose the same folder or files once more: those that are lacking are found by their
        names, and the others are left alone.
      </p>
      <DropZone
        label="The same folder or files once more"
        multiple
        folder
        compact
        onFiles={(files) => setNone(uploads.goWith(files) === 0)}
      />
      {none && <p role="alert">None of these is lacking: their names are different ones.</p>}
      <details>
        <summary>Which ones</summary>
        <Names of={told.lacking.map((name) => ({ name }))} />
      </details>
      <End label="Go on without them" title="Go on without these files?" end={() => uploads.stop()}>
        They fail, as files that have not arrived; the others are not touched.
      </End>
    </div>
  );
}

export function Uploading({ uploads, told, of }: { uploads: Uploads; told: Told; of: Batch }) {
  const { phase, problem, refused, sent } = told;
  const words = uploadsInWords(told, uploads.batch.files);
  const reached = phase === "given" ? 100 : milestone(sent, uploads.batch.files);
  useEffect(() => {
    if (phase === "uploading" || phase === "elsewhere") return;
    announce(words);
  }, [phase]);
  useEffect(() => {
    if (phase === "uploading" && reached > 0) announce(words);
  }, [reached]);

  // Another token is worth another try.
  const first = useRef(token.value);
  useEffect(() => {
    if (problem?.unauthorized && token.value && token.value !== first.current) void uploads.go();
    first.current = token.value;
  }, [token.value]);

  // So is a network that is back.
  const cut = phase === "paused" && problem?.status === 0;
  useEffect(() => {
    if (!cut) return;
    const again = () => void uploads.go();
    addEventListener("online", again, { once: true });
    return () => removeEventListener("online", again);
  }, [cut]);

  return (
    <>
      {phase === "uploading" && (
        <div class="row apart uploading">
          <p class={told.keeps || told.unsafe === 0 ? "hint" : "warning"}>{words}</p>
          <End label="Stop uploading" title="Stop uploading?" end={() => uploads.stop()}>
            {`${plural(sent, "file")} of ${count(of.expected)} are uploaded, and are predicted all the ` +
              "same. The others are not sent, and fail as files that have not arrived."}
          </End>
        </div>
      )}
      {phase === "elsewhere" && <p class="hint">{words}</p>}
      {phase === "paused" && problem && (
        <Failure problem={problem} retry={() => void uploads.go()}>
          <p class="hint">{words}</p>
        </Failure>
      )}
      {phase === "lacking" && <Lacking uploads={uploads} told={told} />}
      {refused.length > 0 && (
        <div class="card attention">
          <h3>{plural(refused.length, "file")} could not be uploaded</h3>
          <Names of={refused} />
        </div>
      )}
    </>
  );
}

/** A batch that waits for files of which this browser has none. */
export function Open({ of, onClosed }: { of: Batch; onClosed: () => void }) {
  const lacking = of.expected - of.done - of.failed;
  return (
    <div class="card attention">
      <h3>It waits for {plural(lacking, "file")}</h3>
      <p>
        They are not in this browser. Whoever began the batch uploads them, or puts them under their
        names into <code>{of.drop_folder}</code>.
      </p>
      <End
        label="Go on without them"
        title="Go on without these files?"
        end={async () => {
          await ask(api().POST("/batches/{batch}/start", { params: { path: { batch: of.id } } }));
          onClosed();
        }}
      >
        What has not arrived fails; what arrives after all takes its place in the results.
      </End>
    </div>
  );
}
