/** The state of a batch’s uploads, and what the user can do: stop, resume, choose lost files again. */
import { useEffect, useState } from "preact/hooks";
import { api, ask } from "../../api/client";
import { asProblem, type Problem } from "../../api/problem";
import { config } from "../../api/session";
import { count, plural } from "../../format";
import { conversionText } from "../../image/format";
import { announce } from "../../ui/announce";
import { Confirm } from "../../ui/confirm";
import { DropZone } from "../../ui/drop-zone";
import { Failure } from "../../ui/state";
import { type Batch, milestone, uploadsText } from "./progress-text";
import type { Progress, Uploads } from "./uploads";

/** Names that are listed; the others are only counted. */
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

/** A button that stops waiting for files, after a confirmation. */
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
  const [open, setOpen] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const confirm = async () => {
    setBusy(true);
    setProblem(undefined);
    try {
      await end();
      setOpen(false);
    } catch (error) {
      setProblem(asProblem(error, config.value.api));
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <button type="button" class="secondary small" onClick={() => setOpen(true)}>
        {label}
      </button>
      {open && (
        <Confirm
          title={title}
          action={label}
          busy={busy}
          onConfirm={() => void confirm()}
          onClose={() => setOpen(false)}
        >
          <p>{children}</p>
          {problem && <Failure problem={problem} />}
        </Confirm>
      )}
    </>
  );
}

function Missing({ uploads, progress }: { uploads: Uploads; progress: Progress }) {
  const [none, setNone] = useState(false);
  return (
    <div class="card attention">
      <h3>Upload not finished</h3>
      <p>
        The page was closed before it had read all files. Select the folder again to finish{" "}
        {plural(progress.missing.length, "file")}. Finished files are skipped.
      </p>
      <DropZone
        label="Select the same folder or files"
        multiple
        folder
        compact
        onFiles={(files) => setNone(uploads.goWith(files) === 0)}
      />
      {none && (
        <p role="alert">None of these files is missing here. Check that it is the same folder.</p>
      )}
      <details>
        <summary>Missing files</summary>
        <Names of={progress.missing.map((name) => ({ name }))} />
      </details>
      <End
        label="Continue without them"
        title="Continue without these files?"
        end={() => uploads.stop()}
      >
        These files will be marked as failed.
      </End>
    </div>
  );
}

export function Uploading({
  uploads,
  progress,
  of,
}: {
  uploads: Uploads;
  progress: Progress;
  of: Batch;
}) {
  const { phase, problem, refused, converted, sent } = progress;
  const text = uploadsText(progress, uploads.batch.files);
  const reached = phase === "given" ? 100 : milestone(sent, uploads.batch.files);
  useEffect(() => {
    if (phase === "uploading" || phase === "elsewhere") return;
    announce(text);
  }, [phase]);
  useEffect(() => {
    if (phase === "uploading" && reached > 0) announce(text);
  }, [reached]);

  // Resume when the network is back.
  const offline = phase === "paused" && problem?.status === 0;
  useEffect(() => {
    if (!offline) return;
    const resume = () => void uploads.go();
    addEventListener("online", resume, { once: true });
    return () => removeEventListener("online", resume);
  }, [offline]);

  return (
    <>
      {phase === "uploading" && (
        <div class="row apart uploading">
          <p class={progress.keeps || progress.unsafe === 0 ? "hint" : "warning"}>{text}</p>
          <End label="Stop uploading" title="Stop uploading?" end={() => uploads.stop()}>
            {`${plural(sent, "file")} of ${count(of.expected)} are uploaded and will be predicted. The ` +
              "others will be marked as failed."}
          </End>
        </div>
      )}
      {phase === "elsewhere" && <p class="hint">{text}</p>}
      {phase === "paused" && problem && (
        <Failure problem={problem} retry={() => void uploads.go()}>
          <p class="hint">{text}</p>
        </Failure>
      )}
      {phase === "missing" && <Missing uploads={uploads} progress={progress} />}
      {converted.length > 0 && <p class="hint">{conversionText(converted)}</p>}
      {refused.length > 0 && (
        <div class="card attention">
          <h3>{plural(refused.length, "file")} could not be uploaded</h3>
          <Names of={refused} />
        </div>
      )}
    </>
  );
}

/** A batch that waits for files that are not in this browser. */
export function Open({ of, onClosed }: { of: Batch; onClosed: () => void }) {
  const missing = of.expected - of.done - of.failed;
  return (
    <div class="card attention">
      <h3>Waiting for {plural(missing, "file")}</h3>
      <p>
        They are not in this browser. Upload them from where the batch began, or copy them to{" "}
        <code>{of.drop_folder}</code> under their names.
      </p>
      <End
        label="Continue without them"
        title="Continue without these files?"
        end={async () => {
          await ask(api().POST("/batches/{batch}/start", { params: { path: { batch: of.id } } }));
          onClosed();
        }}
      >
        These files will be marked as failed. A file that arrives later still gets its result.
      </End>
    </div>
  );
}
