/** A table of logged predictions, each with a link to its page. */
import type { Schemas } from "../api/client";
import { dateTime, percent, since } from "../format";
import { Scroll } from "./scroll";
import { Source } from "./source";
import { Tag } from "./verdict";

type Prediction = Schemas["PastPrediction"];

/** The image if the service still has it: the links are an admin's, and work for five minutes. */
const Look = ({ of }: { of: Prediction }) =>
  of.url ? (
    <img
      src={of.url}
      alt=""
      width="64"
      height="36"
      loading="lazy"
      decoding="async"
      onError={({ currentTarget }) => {
        currentTarget.hidden = true;
      }}
    />
  ) : null;

/** With `whole`, also the image, the name of the file and the model. */
export function Predictions({
  of,
  label,
  whole = false,
}: {
  of: readonly Prediction[];
  label: string;
  whole?: boolean;
}) {
  const pictures = whole && of.some(({ url }) => url);
  return (
    <Scroll label={label}>
      <table>
        <thead>
          <tr>
            {pictures && (
              <th scope="col">
                <span class="unseen">Image</span>
              </th>
            )}
            <th scope="col">When</th>
            <th scope="col">Verdict</th>
            <th scope="col" class="number">
              Clickbait
            </th>
            <th scope="col">Source</th>
            {whole && <th scope="col">Model</th>}
          </tr>
        </thead>
        <tbody>
          {of.map((one) => (
            <tr key={one.id}>
              {pictures && (
                <td class="look">
                  <Look of={one} />
                </td>
              )}
              <td class="when">
                <a href={`/history/${one.id}`} title={dateTime(one.at)}>
                  {since(one.at)}
                </a>
              </td>
              <td>
                <Tag of={one} />
              </td>
              <td class="number">{percent(one.probability)}</td>
              <td>
                <Source of={one} />
                {whole && one.file && <small>{one.file}</small>}
              </td>
              {whole && <td title={one.model_version}>{one.model_version.slice(-6)}</td>}
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}
