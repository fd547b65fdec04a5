/** One image and its result. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { asProblem, type Problem } from "../../api/problem";
import { config, member, offers } from "../../api/session";
import { bytes, className, milliseconds, percent } from "../../format";
import { insideBars } from "../../image/bars";
import { EvidenceMap, evidenceText, Legend, NO_EVIDENCE } from "../../image/evidence";
import { conversionText } from "../../image/format";
import { type Answer, again, type Classified, classify, correct } from "../../store/classified";
import { band } from "../../store/model";
import { announce } from "../../ui/announce";
import { Copy, CopyButton } from "../../ui/copy";
import { Failure, Working } from "../../ui/state";
import { ProbabilityBar, toneOf, verdictOf } from "../../ui/verdict";

/** The first strength of the heat map: visible, with the image still clear below it. */
const STRENGTH = 0.6;

function Picture({ of }: { of: Classified }) {
  const [strength, setStrength] = useState(STRENGTH);
  const [broken, setBroken] = useState(false);
  const cells = of.flat ? undefined : of.answer?.evidence;
  return (
    <div class="picture">
      <div class="picture-frame">
        {broken ? (
          <p class="picture-none">This browser cannot show {of.source.name}.</p>
        ) : (
          <img src={of.picture} alt={of.source.name} onError={() => setBroken(true)} />
        )}
        {of.answer && cells && !broken && (
          <EvidenceMap
            cells={cells}
            place={{ opacity: strength, ...insideBars(of.answer.image) }}
          />
        )}
      </div>
      {of.flat && <p class="hint">{NO_EVIDENCE}</p>}
      {cells && (
        <>
          <label class="slider">
            <span>Heat map</span>
            <input
              type="range"
              min="0"
              max="1"
              step="0.05"
              value={strength}
              aria-label="Strength of the heat map"
              onInput={(event) => setStrength(event.currentTarget.valueAsNumber)}
            />
          </label>
          <Legend />
          <p class="hint">{evidenceText(cells)}</p>
        </>
      )}
    </div>
  );
}

function Sent({ of }: { of: Classified }) {
  const { prepared, source, video, answer } = of;
  if (video) {
    return (
      <p class="hint">
        The thumbnail of{" "}
        <a href={`https://youtu.be/${video}`} target="_blank" rel="noreferrer">
          this video
        </a>
        , {answer?.image.width} × {answer?.image.height}, as YouTube has it.
      </p>
    );
  }
  if (!prepared) return null;
  const { original, size, shrunk, converted, file } = prepared;
  const conversion = converted && `${conversionText([converted])} `;
  if (!shrunk) {
    return (
      <p class="hint">
        {conversion}Uploaded at original size, {bytes(file.size)}.
      </p>
    );
  }
  return (
    <p class="hint">
      {conversion}
      Resized from {original?.width} × {original?.height} ({bytes(source.size)}) to {size?.width} ×{" "}
      {size?.height} ({bytes(file.size)}) before uploading.{" "}
      <button type="button" class="link" onClick={() => classify(source, true)}>
        Retry at full size
      </button>
    </p>
  );
}

function Correction({ of }: { of: Classified }) {
  const [problem, setProblem] = useState<Problem>();
  const [busy, setBusy] = useState(false);
  const answer = of.answer;
  if (!answer || !offers("/review")) return null;
  // A correction that was refused waits for the next sign-in.
  if (!member.value && !of.corrected && !problem) return null;
  const other = answer.is_clickbait ? "clickbait_real" : "clickbait_fake";
  if (of.corrected) {
    return (
      <p class="hint good" role="status">
        Thanks. An admin will review it before it is used for training.
      </p>
    );
  }
  const send = async (label: typeof other) => {
    setBusy(true);
    setProblem(undefined);
    try {
      await correct(of, label);
      announce("Correction sent");
    } catch (error) {
      setProblem(asProblem(error, config.value.api));
    } finally {
      setBusy(false);
    }
  };
  return (
    <div class="correct">
      <button
        type="button"
        class="secondary small"
        aria-busy={busy}
        disabled={busy || !member.value}
        onClick={() => void send(other)}
      >
        Wrong? Mark as {className(other).toLowerCase()}
      </button>
      {problem && <Failure problem={problem} retry={() => void send(other)} />}
    </div>
  );
}

/** The service's share of the time. */
function timing({ cached, timing_ms: { decode, inference } }: Answer): string {
  if (cached) return ", answered from cache (same file)";
  return `, of which model ${milliseconds(inference)}, decoding ${milliseconds(decode)}`;
}

function doing({ video, prepared }: Classified): string {
  if (video) return "Fetching the thumbnail …";
  return prepared ? "Analysing …" : "Resizing …";
}

/** The verdict comes first: on a phone it must be seen without scrolling. */
export function Result({
  of,
  brief = false,
  children,
}: {
  of: Classified;
  brief?: boolean;
  children?: ComponentChildren;
}) {
  const { answer, problem } = of;
  return (
    <article class={`result card ${answer ? toneOf(answer) : ""}`} aria-label={of.source.name}>
      <div class="result-head">
        <p class="hint name">{of.source.name}</p>
        {problem && <Failure problem={problem} retry={() => again(of)} />}
        {!answer && !problem && <Working label={doing(of)} soon />}
        {answer && (
          <>
            <p class="verdict">
              <strong class={toneOf(answer)}>{verdictOf(answer)}</strong>
              <span>{percent(answer.probability)} clickbait</span>
            </p>
            <ProbabilityBar of={answer} />
            {answer.uncertain && (
              <p class="hint">
                The model isn’t sure about this one: at such a probability it is right less than{" "}
                {percent(band.value.promise)} of the time. Please judge for yourself.
              </p>
            )}
          </>
        )}
      </div>
      <Picture of={of} />
      {answer && (
        <div class="result-more">
          <Correction key={of.id} of={of} />
          <Sent of={of} />
          {!brief && (
            <dl class="facts">
              <dt>Response time</dt>
              <dd>
                {milliseconds(of.took)}
                <small>{timing(answer)}</small>
              </dd>
              <dt>Threshold</dt>
              <dd>clickbait from {percent(answer.threshold)} on</dd>
              {member.value && (
                <>
                  <dt>Model</dt>
                  <dd>
                    <a href={`/models/versions/${answer.model_version}`}>{answer.model_version}</a>
                  </dd>
                  <dt>Request</dt>
                  <dd>
                    <Copy text={answer.request_id} label="request ID" />
                  </dd>
                </>
              )}
              {answer.id && member.value && offers("/history") && (
                <>
                  <dt>To share</dt>
                  <dd>
                    <a href={`/history/${answer.id}`}>Page of this result</a>{" "}
                    <CopyButton
                      text={`${location.origin}/history/${answer.id}`}
                      label="link to this result"
                    />
                  </dd>
                </>
              )}
            </dl>
          )}
          {children}
        </div>
      )}
    </article>
  );
}
