/** One image and what the model says of it. */
import { useState } from "preact/hooks";
import { asProblem, type Problem } from "../../api/problem";
import { config, member } from "../../api/session";
import { bytes, className, milliseconds, percent } from "../../format";
import { type Answer, again, type Classified, classify, correct } from "../../store/classified";
import { announce } from "../../ui/announce";
import { Copy } from "../../ui/copy";
import { Failure, Working } from "../../ui/state";
import { TokenForm } from "../../ui/token";
import { ProbabilityBar, toneOf, verdictOf } from "../../ui/verdict";
import { HeatMap, hottest } from "./heat-map";

/** The heat map as it is shown first: seen, and the image still to be seen through it. */
const STRENGTH = 0.6;

function Picture({ of }: { of: Classified }) {
  const [strength, setStrength] = useState(STRENGTH);
  const [unseen, setUnseen] = useState(false);
  const cells = of.answer?.heatmap;
  return (
    <div class="picture">
      <div class="picture-frame">
        {unseen ? (
          <p class="picture-none">This browser cannot show {of.source.name}.</p>
        ) : (
          <img src={of.picture} alt={of.source.name} onError={() => setUnseen(true)} />
        )}
        {cells && !unseen && <HeatMap cells={cells} strength={strength} />}
      </div>
      {cells && (
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
          <small>most evidence: {hottest(cells)}</small>
        </label>
      )}
    </div>
  );
}

function Sent({ of }: { of: Classified }) {
  const { prepared, source } = of;
  if (!prepared) return null;
  const { original, size, shrunk, file } = prepared;
  if (!shrunk) return <p class="hint">Sent as it is, {bytes(source.size)}.</p>;
  return (
    <p class="hint">
      Shrunk in this browser before it was sent: {original?.width} × {original?.height},{" "}
      {bytes(source.size)} → {size?.width} × {size?.height}, {bytes(file.size)}.{" "}
      <button type="button" class="link" onClick={() => classify(source, true)}>
        Ask again with the original
      </button>
    </p>
  );
}

function Correction({ of }: { of: Classified }) {
  const [problem, setProblem] = useState<Problem>();
  const [busy, setBusy] = useState(false);
  const [asked, setAsked] = useState(false);
  const answer = of.answer;
  if (!answer) return null;
  const other = answer.is_clickbait ? "clickbait_real" : "clickbait_fake";
  if (of.corrected) {
    return (
      <p class="hint good" role="status">
        Thank you: “{className(of.corrected)}” waits for the admin’s decision, and then becomes
        training data.
      </p>
    );
  }
  const send = async (label: typeof other) => {
    setBusy(true);
    setProblem(undefined);
    try {
      await correct(of, label);
      announce("The correction was sent");
    } catch (error) {
      setProblem(asProblem(error, config.value.api));
    } finally {
      setBusy(false);
    }
  };
  if (asked && !member.value) return <TokenForm reason="Corrections are not for everybody here." />;
  return (
    <div class="correct">
      <button
        type="button"
        class="secondary small"
        aria-busy={busy}
        disabled={busy}
        onClick={() => {
          setAsked(true);
          if (member.value) void send(other);
        }}
      >
        This is wrong: it is {className(other).toLowerCase()}
      </button>
      {problem && <Failure problem={problem} retry={() => void send(other)} />}
    </div>
  );
}

/** Where the time went, as the service measured it. */
function spent({ cached, timing_ms: { decode, inference } }: Answer): string {
  if (cached) return ", the model from memory: it has seen these very bytes";
  return `, of which the model ${milliseconds(inference)} and reading the image ${milliseconds(decode)}`;
}

export function Result({ of, brief = false }: { of: Classified; brief?: boolean }) {
  const { answer, problem } = of;
  return (
    <article class={`result card ${answer ? toneOf(answer) : ""}`} aria-label={of.source.name}>
      <Picture of={of} />
      <div class="result-said">
        <p class="hint name">{of.source.name}</p>
        {problem && <Failure problem={problem} retry={() => again(of)} />}
        {!answer && !problem && (
          <Working label={of.prepared ? "Asking the model …" : "Making it smaller …"} />
        )}
        {answer && (
          <>
            <p class="verdict">
              <strong class={toneOf(answer)}>{verdictOf(answer)}</strong>
              <span>{percent(answer.probability)} clickbait</span>
            </p>
            <ProbabilityBar of={answer} />
            {answer.uncertain && (
              <p class="hint">
                On images like this one the model is right less often than it promises: look
                yourself.
              </p>
            )}
            <Correction key={of.id} of={of} />
            <Sent of={of} />
            {!brief && (
              <dl class="facts">
                <dt>Answered in</dt>
                <dd>
                  {milliseconds(of.took)}
                  <small>{spent(answer)}</small>
                </dd>
                <dt>Model</dt>
                <dd>
                  <a href={`/models/versions/${answer.model_version}`}>{answer.model_version}</a>
                </dd>
                <dt>Request</dt>
                <dd>
                  <Copy text={answer.request_id} label="request id" />
                </dd>
              </dl>
            )}
          </>
        )}
      </div>
    </article>
  );
}
