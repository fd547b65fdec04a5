/** Add labelled images: chosen, checked, said what they are, and sent while one goes on working. */
import { effect, signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api, ask } from "../../api/client";
import { upload as send } from "../../api/upload";
import { bytes, className, count, duration, plural } from "../../format";
import { announce } from "../../ui/announce";
import { DropZone } from "../../ui/drop-zone";
import { Failure } from "../../ui/state";
import { type Label, LabelledUpload, type Named } from "./labelled-upload";

/** They live as long as the tab: an upload goes on while one looks at other pages. */
const current = signal<LabelledUpload | null>(null);
const label = signal<Label | null>(null);

const LABELS: readonly Label[] = ["clickbait_fake", "clickbait_real"];

const stay = (event: BeforeUnloadEvent) => event.preventDefault();
effect(() => {
  const busy = current.value?.progress.value.phase === "running";
  if (busy) window.addEventListener("beforeunload", stay);
  else window.removeEventListener("beforeunload", stay);
});

function choose(files: File[]): void {
  const made = new LabelledUpload(files, {
    forms: (content_type, images) =>
      ask(
        api().POST("/uploads", {
          body: { purpose: "training", label: label.value!, content_type, count: images },
        }),
      ),
    send,
  });
  current.value = made;
  const { images, leftOut } = made.progress.value;
  announce(`${plural(images, "image")} chosen${leftOut ? `, ${count(leftOut)} left out` : ""}`);
}

function forget(): void {
  current.value = null;
  label.value = null;
}

const named = (of: Label | null) => className(of).toLowerCase();

function Which() {
  return (
    <fieldset class="which">
      <legend>What are they?</legend>
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

/** How far it is: all of it changes five times a second at most, however many images there are. */
function Progress({ of }: { of: LabelledUpload }) {
  const told = of.progress.value;
  const { phase, images, sent, failed, rate, sentBytes } = told;
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
        sent as {named(label.value)}, {bytes(sentBytes)}
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
          Choose others
        </button>
      </div>
    </form>
  );
}

function Next({ images, failed }: { images: number; failed: number }) {
  return (
    <div class="next" role="status">
      <h3>
        {failed === 0 ? "All are there" : "The others are there"}: {plural(images, "image")} as{" "}
        {named(label.value)}
      </h3>
      <p>
        What happens next: each is looked at within seconds; what cannot be read is set aside, and{" "}
        <a href="/data">Data</a> says why. When no image has arrived for a while and enough are new
        (a minute and 20 images, unless this deployment says otherwise), a training starts by itself
        and appears among the runs below. Fewer wait for the daily look, or for you to start one.
      </p>
    </div>
  );
}

/** `onEnd` when images have arrived. */
export function Upload({ onEnd }: { onEnd: () => void }) {
  const upload = current.value;
  const told = upload?.progress.value;
  const phase = told?.phase;
  useEffect(() => {
    if (phase !== "done" && phase !== "paused") return;
    const { sent, failed } = told!;
    announce(
      `${phase === "done" ? "The upload has ended" : "The upload is paused"}: ` +
        `${plural(sent, "image")} sent${failed ? `, ${count(failed)} failed` : ""}`,
    );
    if (sent > 0) onEnd();
  }, [phase]);

  return (
    <section class="card upload" aria-labelledby="upload">
      <h2 id="upload">Add labelled images</h2>
      {!upload || !told ? (
        <DropZone
          label="Drop images or a folder of one class here"
          multiple
          folder
          onFiles={choose}
        >
          <p class="hint">
            JPEG, PNG or WebP, thousands at once. They are sent as they are, for the training is to
            learn from what you have.
          </p>
        </DropZone>
      ) : (
        <>
          {phase === "ready" ? <Ready of={upload} /> : <Progress of={upload} />}
          {told.problem && !told.problem.unauthorized && (
            <Failure problem={told.problem} retry={() => void upload.run()} />
          )}
          {phase === "done" && told.sent > 0 && <Next images={told.sent} failed={told.failed} />}
          <Names
            of={told.failures}
            all={told.failed}
            title={`${plural(told.failed, "image")} failed, and why`}
          />
          <Names
            of={told.outside}
            all={told.leftOut}
            title={`${plural(told.leftOut, "file")} left out, and why`}
          />
          <div class="row">
            {phase === "running" && (
              <button type="button" class="secondary" onClick={() => upload.pause()}>
                Cancel
              </button>
            )}
            {/* Whose token was refused has given another one, or would not see this. */}
            {phase === "paused" && (!told.problem || told.problem.unauthorized) && (
              <button type="button" onClick={() => void upload.run()}>
                Go on with the {count(told.images - told.sent - told.failed)} left
              </button>
            )}
            {phase !== "running" && told.failed > 0 && (
              <button type="button" onClick={() => void upload.retry()}>
                Try the {count(told.failed)} again
              </button>
            )}
            {(phase === "paused" || phase === "done") && (
              <button type="button" class="secondary" onClick={forget}>
                {phase === "done" ? "Upload more" : "Leave it at that"}
              </button>
            )}
          </div>
        </>
      )}
    </section>
  );
}
