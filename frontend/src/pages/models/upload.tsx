/** Add labelled images for training or for the exam, labelled by their folders or by the admin. */
import { effect, signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api, ask } from "../../api/client";
import { uploaded } from "../../api/use-dataset";
import { bytes, className, count, duration, plural } from "../../format";
import { announce } from "../../ui/announce";
import { DropZone } from "../../ui/drop-zone";
import { Failure } from "../../ui/state";
import { post } from "../../upload/bucket";
import type { Folder, Label } from "../../upload/folders";
import type { LeftOut } from "../../upload/names";
import { type Group, type Kind, LabelledUpload } from "./labelled-upload";

/** Both live as long as the tab: an upload goes on while other pages are open. */
const current = signal<LabelledUpload | null>(null);
/** For images whose folder gives no label. */
const label = signal<Label | null>(null);
/** For images outside a folder named `exam`. */
const exam = signal(false);

const LABELS: readonly Label[] = ["clickbait_fake", "clickbait_real"];

const warn = (event: BeforeUnloadEvent) => event.preventDefault();
effect(() => {
  const busy = current.value?.progress.value.phase === "running";
  if (busy) window.addEventListener("beforeunload", warn);
  else window.removeEventListener("beforeunload", warn);
});
effect(() => {
  if (current.value?.progress.value.sent) uploaded();
});

function choose(files: File[], lost: readonly LeftOut[]): void {
  const upload = new LabelledUpload(
    files,
    {
      forms: (content_type, names, kind) =>
        ask(
          api().POST("/uploads", {
            body: {
              purpose: "training",
              label: kind.label ?? label.value!,
              folder: isExam(kind) ? "exam" : "train",
              content_type,
              count: names.length,
              names: [...names],
            },
          }),
        ),
      send: post,
    },
    lost,
  );
  current.value = upload;
  const { images, leftOut } = upload.progress.value;
  announce(`${plural(images, "image")} chosen${leftOut ? `, ${count(leftOut)} skipped` : ""}`);
}

function forget(): void {
  current.value = null;
  label.value = null;
  exam.value = false;
}

const isExam = (kind: Kind) => kind.exam || exam.value;
const named = (of: Label | null) => className(of).toLowerCase();

/** "42 clickbait and 36 legitimate images", by the labels that folders tell or the admin chose. */
export function kindsText(groups: readonly Group[], number: (of: Group) => number): string {
  const parts = (["clickbait_fake", "clickbait_real", null] as const)
    .map((one) => {
      const some = groups.filter((group) => (group.label ?? label.value) === one);
      return { one, images: some.reduce((sum, group) => sum + number(group), 0) };
    })
    .filter(({ images }) => images > 0);
  const all = parts.reduce((sum, { images }) => sum + images, 0);
  const text = parts.map(({ one, images }) => [count(images), one && named(one)].filter(Boolean));
  return `${text.map((words) => words.join(" ")).join(" and ")} ${all === 1 ? "image" : "images"}`;
}

function Choice<T>({
  title,
  name,
  of,
  options,
}: {
  title: string;
  name: string;
  of: { value: T | null };
  options: readonly { value: T; text: string }[];
}) {
  return (
    <fieldset class="which">
      <legend>{title}</legend>
      {options.map(({ value, text }) => (
        <label key={text} class="check">
          <input
            type="radio"
            name={name}
            required
            checked={of.value === value}
            onChange={() => {
              of.value = value;
            }}
          />
          {text}
        </label>
      ))}
    </fieldset>
  );
}

const LABEL_OPTIONS = LABELS.map((value) => ({ value, text: className(value) }));
const USES = [
  { value: false, text: "For training" },
  { value: true, text: "For the exam" },
];

const FOLDERS_NAMED = 5;

/** "maybe (12 images), other (3 images)". */
const foldersText = (folders: readonly Folder[]): string =>
  folders
    .slice(0, FOLDERS_NAMED)
    .map(({ name, files }) => `${name} (${plural(files, "file")})`)
    .join(", ") +
  (folders.length > FOLDERS_NAMED ? ` and ${count(folders.length - FOLDERS_NAMED)} more` : "");

/** The labels that the folders gave, and the files that are left out. */
function Found({ of, groups }: { of: LabelledUpload; groups: readonly Group[] }) {
  const folders = of.folders;
  const missing = LABELS.filter((one) => !groups.some((group) => group.label === one));
  return (
    <>
      {of.labelled && (
        <>
          <p class="hint good">The labels come from the folder names.</p>
          <ul class="upload-groups">
            {groups.map((group) => (
              <li key={`${group.label} ${group.exam}`}>
                <span class={`tag ${group.label === "clickbait_fake" ? "bait" : "real"}`}>
                  {plural(group.images, `${named(group.label)} image`)}
                </span>
                <small>{isExam(group) ? "for the exam" : "for training"}</small>
              </li>
            ))}
          </ul>
          {missing.length === 1 && (
            <p class="hint">
              No folder named {named(missing[0]!)}. Training needs both kinds; you can add the other
              one later.
            </p>
          )}
        </>
      )}
      {folders.length > 0 && (
        <p class="run-warning upload-warning">
          {of.labelled ? (
            <>
              <strong>Left out:</strong> {foldersText(folders)}. To upload these too, name their
              folder clickbait or legitimate.
            </>
          ) : (
            <>
              <strong>Several folders:</strong> {foldersText(folders)}. No folder is named clickbait
              or legitimate, so all images get the label that you choose.
            </>
          )}
        </p>
      )}
    </>
  );
}

function Names({ of, all, title }: { of: readonly LeftOut[]; all: number; title: string }) {
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
  const { phase, images, sent, failed, rate, sentBytes, groups } = of.progress.value;
  const left = images - sent - failed;
  return (
    <>
      <progress
        aria-label={`Uploading ${kindsText(groups, (group) => group.images)}`}
        value={sent + failed}
        max={Math.max(1, images)}
      />
      <p class="upload-numbers">
        <strong>
          {count(sent)} of {count(images)}
        </strong>{" "}
        uploaded, {bytes(sentBytes)}
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
  const { images, bytes: size, groups } = of.progress.value;
  const unlabelled = groups.some((group) => group.label === null);
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
      <Found of={of} groups={groups} />
      {unlabelled && <Choice title="Label" name="label" of={label} options={LABEL_OPTIONS} />}
      {groups.some((group) => !group.exam) && (
        <Choice title="Use" name="use" of={exam} options={USES} />
      )}
      {groups.some(isExam) && (
        <p class="hint">
          Exam images are for measuring only: no model trains on them, nor on copies of them.
        </p>
      )}
      <div class="row">
        {images > 0 && (
          <button type="submit">
            Upload {plural(images, "image")}
            {unlabelled && label.value && ` as ${named(label.value)}`}
          </button>
        )}
        <button type="button" class="secondary" onClick={forget}>
          Choose other files
        </button>
      </div>
    </form>
  );
}

function Next({ groups }: { groups: readonly Group[] }) {
  const training = groups.some((group) => group.sent > 0 && !isExam(group));
  return (
    <div class="next" role="status">
      <h3>Uploaded {kindsText(groups, (group) => group.sent)}</h3>
      <p>
        Each image is checked within seconds. <a href="/data?show=browse">Browse your images</a>.
        Files that cannot be read are listed under <a href="/data#rejected">Rejected files</a>, with
        the reason.{" "}
        {training ? (
          <>
            Training starts by itself once 20 new images have arrived, both kinds are there and none
            has followed for a minute (or as this deployment is set). Fewer than 20 wait for the
            daily training, or press Start training.
          </>
        ) : (
          "The exam counts from the next training on."
        )}
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
        <DropZone label="Drop images or a folder" multiple folder onFiles={choose}>
          <p class="hint">
            JPEG, PNG or WebP, thousands at once, at full quality. If the folder has{" "}
            <code>clickbait</code> and <code>legitimate</code> inside, both are uploaded with these
            labels.
          </p>
        </DropZone>
      ) : (
        <>
          {phase === "ready" ? <Ready of={upload} /> : <Progress of={upload} />}
          {progress.problem && !progress.problem.unauthorized && (
            <Failure problem={progress.problem} retry={() => void upload.run()} />
          )}
          {phase === "done" && progress.sent > 0 && <Next groups={progress.groups} />}
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
