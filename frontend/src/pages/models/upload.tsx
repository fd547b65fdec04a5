/** Add labelled images: choose them, label them, and upload them in the background. */
import { effect, signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api, ask } from "../../api/client";
import { bytes, className, count, duration, plural } from "../../format";
import { announce } from "../../ui/announce";
import { DropZone } from "../../ui/drop-zone";
import { Failure } from "../../ui/state";
import { post } from "../../upload/bucket";
import { type Label, LabelledUpload, type Named } from "./labelled-upload";

/** Both live as long as the tab: an upload goes on while other pages are open. */
const current = signal<LabelledUpload | null>(null);
const label = signal<Label | null>(null);

const LABELS: readonly Label[] = ["clickbait_fake", "clickbait_real"];

const warn = (event: BeforeUnloadEvent) => event.preventDefault();
effect(() => {
  const busy = current.value?.progress.value.phase === "running";
  if (busy) window.addEventListener("beforeunload", warn);
  else window.removeEventListener("beforeunload", warn);
});

function choose(files: File[]): void {
  const upload = new LabelledUpload(files, {
    forms: (content_type, images) =>
      ask(
        api().POST("/uploads", {
          body: { purpose: "training", label: label.value!, content_type, count: images },
        }),
      ),
    send: post,
  });
  current.value = upload;
  const { images, leftOut } = upload.progress.value;
  announce(`${plural(images, "image")} chosen${leftOut ? `, ${count(leftOut)} skipped` : ""}`);
}

function forget(): void {
  current.value = null;
  label.value = null;
}

const named = (of: Label | null) => className(of).toLowerCase();

function Which() {
  return (
    <fieldset class="which">
      <legend>Label</legend>
      {LABELS.map((one) => (
        <label key={one} class="check">
          <input
            type="radio"
            name="label"
            required
            value={one}
            checked={label.value === one}
            onChange={() => {
              label.value = one;
            }}
          />
          {className(one)}
        </label>
      ))}
    </fieldset>
  );
}

function Names({ of, all, title }: { of: readonly Named[]; all: number; title: string }) {
  if (all === 0) return null;
  return (
    <details class="named">
      <summary>{title}</summary>
      <ul>
        {of.map(({ name, why }) => (
          <li key={name}>
            <span class="file-name">{name}</span> <small>{why}</small>
          </li>
        ))}
        {all > of.length && <li>… and {count(all - of.length)} more</li>}
      </ul>
    </details>
  );
}

function Progress({ of }: { of: LabelledUpload }) {
  const { phase, images, sent, failed, rate, sentBytes } = of.progress.value;
  const left = images - sent - failed;
  return (
    <>
      <progress
        aria-label={`Uploading images as ${named(label.value)}`}
        value={sent + failed}
        max={Math.max(1, images)}
      />
      <p class="upload-numbers">
        <strong>
          {count(sent)} of {count(images)}
        </strong>{" "}
        uploaded as {named(label.value)}, {bytes(sentBytes)}
        {phase === "running" && rate !== null && (
          <>
            {" "}
            · {rate < 10 ? rate.toFixed(1) : count(rate)} a second · about {duration(left / rate)}{" "}
            left
          </>
        )}
      </p>
    </>
  );
}

function Ready({ of }: { of: LabelledUpload }) {
  const { images, bytes: size } = of.progress.value;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        announce(`Uploading ${plural(images, "image")}`);
        void of.run();
      }}
    >
      <p class="upload-numbers">
        <strong>{plural(images, "image")}</strong>, {bytes(size)}
      </p>
      <Which />
      <div class="row">
        {images > 0 && (
          <button type="submit">
            Upload {plural(images, "image")}
            {label.value && ` as ${named(label.value)}`}
          </button>
        )}
        <button type="button" class="secondary" onClick={forget}>
          Choose other files
        </button>
      </div>
    </form>
  );
}

function Next({ images }: { images: number }) {
  return (
    <div class="next" role="status">
      <h3>
        Uploaded {count(images)} {named(label.value)} {images === 1 ? "image" : "images"}
      </h3>
      <p>
        Each image is checked within seconds. Files that cannot be read are listed under{" "}
        <a href="/data#rejected">Rejected files</a>, with the reason. Training starts by itself once
        20 new images have arrived and none has followed for a minute (or as this deployment is
        set). Fewer than 20 wait for the daily training, or press Start training.
      </p>
    </div>
  );
}

/** Calls `onEnd` when images have arrived. */
export function Upload({ onEnd }: { onEnd: () => void }) {
  const upload = current.value;
  const progress = upload?.progress.value;
  const phase = progress?.phase;
  useEffect(() => {
    if (phase !== "done" && phase !== "paused") return;
    const { sent, failed } = progress!;
    announce(
      `${phase === "done" ? "Upload finished" : "Upload paused"}: ` +
        `${plural(sent, "image")} uploaded${failed ? `, ${count(failed)} failed` : ""}`,
    );
    if (sent > 0) onEnd();
  }, [phase]);

  return (
    <section class="card upload" aria-labelledby="upload">
      <h2 id="upload">Add labelled images</h2>
      {!upload || !progress ? (
        <DropZone
          label="Drop images or a folder (all of one label)"
          multiple
          folder
          onFiles={choose}
        >
          <p class="hint">JPEG, PNG or WebP, thousands at once. Uploaded at full quality.</p>
        </DropZone>
      ) : (
        <>
          {phase === "ready" ? <Ready of={upload} /> : <Progress of={upload} />}
          {progress.problem && !progress.problem.unauthorized && (
            <Failure problem={progress.problem} retry={() => void upload.run()} />
          )}
          {phase === "done" && progress.sent > 0 && <Next images={progress.sent} />}
          <Names
            of={progress.failures}
            all={progress.failed}
            title={`${plural(progress.failed, "image")} failed`}
          />
          <Names
            of={progress.outside}
            all={progress.leftOut}
            title={`${plural(progress.leftOut, "file")} skipped`}
          />
          <div class="row">
            {phase === "running" && (
              <button type="button" class="secondary" onClick={() => upload.pause()}>
                Cancel
              </button>
            )}
            {/* After a refused token the page asks for another one before it shows this. */}
            {phase === "paused" && (!progress.problem || progress.problem.unauthorized) && (
              <button type="button" onClick={() => void upload.run()}>
                Resume ({count(progress.images - progress.sent - progress.failed)} left)
              </button>
            )}
            {phase !== "running" && progress.failed > 0 && (
              <button type="button" onClick={() => void upload.retry()}>
                Retry {plural(progress.failed, "image")}
              </button>
            )}
            {(phase === "paused" || phase === "done") && (
              <button type="button" class="secondary" onClick={forget}>
                {phase === "done" ? "Upload more" : "Stop here"}
              </button>
            )}
          </div>
        </>
      )}
    </section>
  );
}
