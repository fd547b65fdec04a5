/** Which model was live when, and who decided so for what reason. */
import type { Schemas } from "../../api/client";
import { dateTime } from "../../format";
import { Scroll } from "../../ui/scroll";
import { Empty } from "../../ui/state";
import { More } from "./more";
import { By, plainly, VersionName } from "./names";
import type { Listed } from "./use-list";

export function Audit({ of }: { of: Listed<Schemas["PromotionRecord"], Schemas["Promotions"]> }) {
  return (
    <section aria-labelledby="audit">
      <h2 id="audit">Who decided what</h2>
      {of.items.length === 0 ? (
        <Empty title="No model was made live yet">
          <p>
            The one that ships has served from the beginning. Each promotion and roll-back will be
            here, with its reason, for good.
          </p>
        </Empty>
      ) : (
        <Scroll label="Table of decisions">
          <table class="audit">
            <thead>
              <tr>
                <th scope="col">When</th>
                <th scope="col">Live from then on</th>
                <th scope="col">Before</th>
                <th scope="col">Decided by</th>
                <th scope="col">Reason</th>
              </tr>
            </thead>
            <tbody>
              {of.items.map((one) => (
                <tr key={one.at}>
                  <td class="nowrap">
                    <time dateTime={one.at}>{dateTime(one.at)}</time>
                  </td>
                  <td>
                    <VersionName of={one.version} />
                  </td>
                  <td>{one.previous ? <VersionName of={one.previous} /> : "–"}</td>
                  <td class="audit-whom">
                    <By whom={one.by} />
                  </td>
                  <td class="audit-why">
                    {one.forced && <strong class="warn">Past the gate. </strong>}
                    {plainly(one.reason)}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
      <More of={of} label="Older decisions" />
    </section>
  );
}
