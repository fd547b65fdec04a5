/** One image at a time: the verdict, the evidence over the image, and one key for each decision. */
import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { asProblem, type Problem } from "../../api/problem";
import { config } from "../../api/session";
import { percent, since } from "../../format";
import { insideBars } from "../../image/bars";
import { EvidenceMap, evidenceText, Legend } from "../../image/evidence";
import { announce } from "../../ui/announce";
import { Failure } from "../../ui/state";
import { ProbabilityBar, toneOf, verdictOf } from "../../ui/verdict";
import { type Detail, detailOf, forget, lookAhead, ratioOf } from "./ahead";
import { Key, useKeys } from "./keys";
import { LabelButtons, still } from "./label-buttons";
import type { Choice } from "./queue";
import { queue } from "./session";
import { actText, FROM, type Item, whyText } from "./words";

const WIDE = 16 / 9;

/** Whether the evidence is drawn: the bare image is sometimes easier to judge. */
const mapOn = signal(true);

function useDetail(id: string, turn: number) {
  const [state, setState] = useState<{ id?: string; detail?: Detail; problem?: Problem }>({});
  useEffect(() => {
    let gone = false;
    detailOf(id).then(
      (detail) => !gone && setState({ id, detail }),
      (error) => !gone && setState({ id, problem: asProblem(error, config.value.api) }),
    );
    return () => {
      gone = true;
    };
  }, [id, turn]);
  return state.id === id ? state : {};
}

function Picture({
  of,
  detail,
  again,
}: {
  of: Item;
  detail: Detail | undefined;
  again: () => void;
}) {
  const [ratio, setRatio] = useState(() => ratioOf(of.id) ?? WIDE);
  const [url, setUrl] = useState(of.url);
  const [broken, setBroken] = useState(false);
  const cells = detail?.prediction.evidence;
  // Links work for five minutes; a prediction that is loaded anew brings another one.
  const fresh = detail?.url ?? url;
  const replace = () => {
    setUrl(fresh);
    setBroken(false);
  };
  useEffect(() => {
    if (broken && fresh !== url) replace();
  }, [fresh, broken]);
  return (
    <div class="review-frame" style={{ "--ratio": ratio }}>
      {broken ? (
        <p class="picture-none">
          The image cannot be loaded. Its link may have expired.{" "}
          <button type="button" class="secondary small" onClick={again}>
            Try again
          </button>
        </p>
      ) : (
        <img
          src={url}
          alt={of.name}
          onLoad={({ currentTarget: { naturalWidth, naturalHeight } }) => {
            if (naturalHeight > 0) setRatio(naturalWidth / naturalHeight);
          }}
          onError={() => setBroken(true)}
        />
      )}
      {mapOn.value && detail && cells && !broken && (
        <EvidenceMap cells={cells} place={insideBars(detail.prediction.image)} />
      )}
    </div>
  );
}

function About({ of }: { of: Item }) {
  return (
    <p class="hint name">
      {of.name}
      <br />
      {FROM[of.source]}
      {of.batch && (
        <>
          {" "}
          <a href={`/batch/${encodeURIComponent(of.batch)}`}>{of.batch}</a>
        </>
      )}
      , {since(of.at)}
    </p>
  );
}

function Shown({ of }: { of: Item }) {
  const [turn, setTurn] = useState(0);
  const { detail, problem } = useDetail(of.id, turn);
  // Until the live model has answered, the verdict is that of the model which chose the image.
  const judged = detail?.prediction ?? {
    prediction: of.probability >= 0.5 ? "clickbait_fake" : "clickbait_real",
    probability: of.probability,
    uncertain: of.uncertain,
  };
  const cells = detail?.prediction.evidence;
  const again = () => {
    forget(of.id);
    setTurn(turn + 1);
  };
  const failed = problem !== undefined;
  useEffect(() => {
    if (!failed) return;
    addEventListener("online", again);
    return () => removeEventListener("online", again);
  }, [failed]);
  return (
    <article class={`card review-one ${toneOf(judged)}`} aria-label={of.name}>
      <Picture of={of} detail={detail} again={again} />
      <div class="review-text">
        <p class="verdict">
          <strong class={toneOf(judged)}>{verdictOf(judged)}</strong>
          <span>{percent(judged.probability)} clickbait</span>
        </p>
        <ProbabilityBar of={judged} />
        <p class="hint">{whyText(of, judged.uncertain)}</p>
        {problem ? (
          <Failure problem={problem} retry={again} />
        ) : (
          <div class="evidence-text">
            <p class="hint">{cells ? evidenceText(cells) : "Looking for evidence …"}</p>
            <label class="check">
              <input
                type="checkbox"
                checked={mapOn.value}
                onChange={(event) => {
                  mapOn.value = event.currentTarget.checked;
                }}
              />
              Heat map <Key name="h" />
            </label>
            <Legend />
          </div>
        )}
        <About of={of} />
      </div>
    </article>
  );
}

export function One() {
  const { value: waiting } = queue.waiting;
  const [item] = waiting;
  const buttons = useRef<HTMLDivElement>(null);
  useEffect(() => lookAhead(waiting), [waiting]);

  const act = (choice: Choice) => {
    if (!item || queue.act(item.id, choice) === 0) return;
    const [next] = queue.waiting.value;
    announce(
      `${actText(choice, [item.name])}. ${next ? `Next: ${next.name}, ${percent(next.probability)} clickbait` : "No more images"}`,
    );
  };
  const undo = () => {
    const last = queue.undo();
    announce(
      last ? `Undone: ${last.images.map(({ name }) => name).join(", ")}` : "Nothing to undo",
    );
  };
  useKeys({
    "1": () => act("clickbait_fake"),
    "2": () => act("clickbait_real"),
    " ": () => act(null),
    z: undo,
    h: () => {
      mapOn.value = !mapOn.value;
    },
  });
  // The last image takes the focused button with it.
  const empty = item === undefined;
  useEffect(() => {
    const lost = document.activeElement === document.body;
    if (empty && lost) buttons.current?.querySelector<HTMLElement>("button:enabled")?.focus();
  }, [empty]);

  return (
    <>
      {item && <Shown key={item.id} of={item} />}
      <div class="row review-actions" ref={buttons}>
        {item && (
          <>
            <LabelButtons onLabel={act} />
            <button type="button" class="secondary" onMouseDown={still} onClick={() => act(null)}>
              Skip <Key name="space" />
            </button>
          </>
        )}
        <button
          type="button"
          class="secondary"
          disabled={queue.acts.value.length === 0}
          onMouseDown={still}
          onClick={undo}
        >
          Undo <Key name="z" />
        </button>
      </div>
    </>
  );
}
