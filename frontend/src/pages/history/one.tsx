/** One past prediction, at an address that can be shared with people who may sign in. */
import { useState } from "preact/hooks";
import { api, ask, type Schemas } from "../../api/client";
import { useLoad } from "../../api/use-load";
import { dateTime, milliseconds, percent } from "../../format";
import { insideBars } from "../../image/bars";
import { EvidenceMap, evidenceText, Legend } from "../../image/evidence";
import { Copy, CopyButton } from "../../ui/copy";
import { Source } from "../../ui/source";
import { Shown } from "../../ui/state";
import { ProbabilityBar, toneOf, verdictOf } from "../../ui/verdict";

type Prediction = Schemas["PastPrediction"];

/** The image with a heat map: the live model looks again, because the log keeps no heat map. */
function Picture({ of, url }: { of: Prediction; url: string }) {
  const [broken, setBroken] = useState(false);
  const review = of.review;
  const seen = useLoad(
    async (signal) =>
      review
        ? (await ask(api().GET("/review/{review}", { params: { path: { review } }, signal })))
            .prediction
        : null,
    [review],
  );
  const cells = seen.value?.evidence;
  return (
    <div class="picture">
      <div class="picture-frame">
        {broken ? (
          <p class="picture-none">The link to the image has expired. Reload the page.</p>
        ) : (
          <img src={url} alt={of.file ?? "The image"} onError={() => setBroken(true)} />
        )}
        {cells && seen.value && !broken && (
          <EvidenceMap cells={cells} place={{ opacity: 0.6, ...insideBars(seen.value.image) }} />
        )}
      </div>
      {cells && (
        <>
          <Legend />
          <p class="hint">
            {evidenceText(cells)}
            {seen.value?.model_version !== of.model_version &&
              ` The heat map is by the live model, ${seen.value?.model_version}.`}
          </p>
        </>
      )}
    </div>
  );
}

function Whole({ of }: { of: Prediction }) {
  return (
    <article class={`result card ${toneOf(of)}`} aria-label={of.file ?? "Prediction"}>
      <div class="result-head">
        {of.file && <p class="hint name">{of.file}</p>}
        <p class="verdict">
          <strong class={toneOf(of)}>{verdictOf(of)}</strong>
          <span>{percent(of.probability)} clickbait</span>
        </p>
        <ProbabilityBar of={of} />
      </div>
      {of.url ? (
        <Picture of={of} url={of.url} />
      ) : (
        <p class="hint picture">
          No picture: the service has not kept this image, or only an admin may see it.
        </p>
      )}
      <div class="result-more">
        <div class="row">
          <CopyButton
            text={`${location.origin}/history/${of.id}`}
            label="link to this prediction"
          />
          <span class="hint">Everybody who may sign in here can open this page for 30 days.</span>
        </div>
        <dl class="facts">
          <dt>When</dt>
          <dd>{dateTime(of.at)}</dd>
          <dt>Source</dt>
          <dd>
            <Source of={of} />
            {of.batch && <small>{of.batch}</small>}
          </dd>
          {of.threshold !== null && (
            <>
              <dt>Threshold</dt>
              <dd>clickbait from {percent(of.threshold)} on</dd>
            </>
          )}
          <dt>Model</dt>
          <dd>
            <a href={`/models/versions/${of.model_version}`}>{of.model_version}</a>
          </dd>
          <dt>Model time</dt>
          <dd>{milliseconds(of.ms)}</dd>
          <dt>SHA-256 of the image</dt>
          <dd>
            <Copy text={of.sha256} label="SHA-256" />
          </dd>
          <dt>Request</dt>
          <dd>
            <Copy text={of.request_id} label="request ID" />
          </dd>
        </dl>
      </div>
    </article>
  );
}

export function One({ id }: { id: string }) {
  const params = { path: { prediction: id } };
  const loaded = useLoad(
    (signal) => ask(api().GET("/predictions/{prediction}", { params, signal })),
    [id],
  );
  return (
    <Shown of={loaded} label="Loading the prediction">
      {(one) => <Whole of={one} />}
    </Shown>
  );
}
