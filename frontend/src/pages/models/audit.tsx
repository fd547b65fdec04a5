/** Which model was live when, who made it live, and why. */
import type { Schemas } from "../../api/client";
import type { Listed } from "../../api/use-list";
import { dateTime } from "../../format";
import { MoreButton } from "../../ui/more-button";
import { Scroll } from "../../ui/scroll";
import { Empty } from "../../ui/state";
import { By, plainly, thresholdText, VersionName } from "./names";

export function Audit({ of }: { of: Listed<Schemas["PromotionRecord"], Schemas["Promotions"]> }) {
  return (
    <section aria-labelledby="audit">
      <h2 id="audit">Release history</h2>
      {of.items.length === 0 ? (
        <Empty title="No releases yet">
          <p>
            The built-in model is live. Every promotion and roll-back will be listed here with its
            reason.
          </p>
        </Empty>
      ) : (
        <Scroll label="Table of releases">
          <table class="audit">
            <thead>
              <tr>
                <th scope="col">When</th>
                <th scope="col">New live model</th>
                <th scope="col">Previous model</th>
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
                  <td>
                    {one.previous && !thresholdText(one) ? <VersionName of={one.previous} /> : "–"}
                  </td>
                  <td class="audit-whom">
                    <By whom={one.by} />
                  </td>
                  <td class="audit-why">
                    {one.forced && <strong class="warn">Checks overridden. </strong>}
                    {thresholdText(one) && <strong>{thresholdText(one)} </strong>}
                    {plainly(one.reason)}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
      <MoreButton of={of} label="Show older releases" />
    </section>
  );
}
