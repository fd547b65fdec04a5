/** Try a version on an image of one's own: its verdict, beside that of the version before it. */
import { useEffect, useRef, useState } from "preact/hooks";
import { api, asForm, ask, form, type Schemas } from "../../api/client";
import { asProblem, type Problem } from "../../api/problem";
import { admin, config } from "../../api/session";
import { percent } from "../../format";
import { prepare } from "../../image/prepare";
import { announce } from "../../ui/announce";
import { DropZone } from "../../ui/drop-zone";
import { Failure, Working } from "../../ui/state";
import { toneOf, verdictOf } from "../../ui/verdict";
import { VersionName } from "./names";
import { changeText } from "./try-text";

type Answer = Schemas["PredictionAnswer"];

const predict = (version: string, file: File): Promise<Answer> =>
  ask(
    api().POST("/models/{version}/predict", {
      params: { path: { version } },
      body: form({ file }) as never,
      ...asForm,
    }),
  );

interface Tried {
  name: string;
  picture: string;
  answers?: { before: Answer; after: Answer };
  problem?: Problem;
}

function Side({ label, of }: { label: string; of: Answer }) {
  return (
    <div class={`result card ${toneOf(of)}`}>
      <h3>{label}</h3>
      <p class="verdict">
        <strong class={toneOf(of)}>{verdictOf(of)}</strong>
        <span>{percent(of.probability)} clickbait</span>
      </p>
      <p class="hint">
        <VersionName of={of.model_version} />
      </p>
    </div>
  );
}

export function Try({ before, after }: { before: string; after: string }) {
  const [open, setOpen] = useState(false);
  const [tried, setTried] = useState<Tried>();
  const picture = useRef("");
  const forget = () => URL.revokeObjectURL(picture.current);
  useEffect(() => forget, []);
  if (!admin.value) return null;

  const attempt = async (source: File) => {
    forget();
    picture.current = URL.createObjectURL(source);
    const began = { name: source.name, picture: picture.current };
    setTried(began);
    let ended: Tried;
    try {
      const { file, refused } = await prepare(source);
      if (refused) throw refused;
      const [one, other] = await Promise.all([predict(before, file), predict(after, file)]);
      const answers = { before: one, after: other };
      ended = { ...began, answers };
      announce(`${source.name}: ${changeText(answers)}`);
    } catch (error) {
      ended = { ...began, problem: asProblem(error, config.value.api) };
    }
    // Another image may have been chosen meanwhile.
    if (picture.current === began.picture) setTried(ended);
  };

  return (
    <section class="card try" aria-labelledby="try">
      <h2 id="try">Before and after</h2>
      {!open && (
        <button type="button" class="secondary" onClick={() => setOpen(true)}>
          Try it on one of yours: before / after
        </button>
      )}
      {open && (
        <>
          <DropZone
            label="Drop or choose an image"
            compact
            onFiles={([file]) => file && void attempt(file)}
          />
          {tried && <img class="try-picture" src={tried.picture} alt={tried.name} />}
          {tried?.problem && <Failure problem={tried.problem} />}
          {tried && !tried.answers && !tried.problem && <Working label="Asking both versions …" />}
          {tried?.answers && (
            <>
              <p>
                <strong>{changeText(tried.answers)}</strong>
              </p>
              <div class="try-sides">
                <Side label="Before" of={tried.answers.before} />
                <Side label="After" of={tried.answers.after} />
              </div>
            </>
          )}
          <p class="hint">The image is not stored, and the verdicts are not counted.</p>
        </>
      )}
    </section>
  );
}
