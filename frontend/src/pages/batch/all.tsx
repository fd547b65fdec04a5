/** All batches of the service, the newest first: of colleagues, of other browsers, of the inbox. */
import type { Schemas } from "../../api/client";
import { api, ask } from "../../api/client";
import { useList } from "../../api/use-list";
import { count, dateTime, since } from "../../format";
import { MoreButton } from "../../ui/more-button";
import { Scroll } from "../../ui/scroll";
import { Empty, Shown } from "../../ui/state";

type Listed = Schemas["ListedBatch"];

const STATES: Record<Listed["state"], string> = {
  open: "Waiting for files",
  running: "Running",
  finished: "Finished",
};

function Result({ of: { counts, uncertain, failed } }: { of: Listed }) {
  if (!counts) return <span class="hint">not yet</span>;
  return (
    <>
      {count(counts.clickbait_fake)} clickbait, {count(counts.clickbait_real)} legitimate
      {uncertain ? ` (${count(uncertain)} of them uncertain)` : ""}
      {failed ? `, ${count(failed)} failed` : ""}
    </>
  );
}

export function AllBatches() {
  const batches = useList(
    (page) => ask(api().GET("/batches", page)),
    (one) => `${one.created ?? ""} ${one.id}`,
  );
  return (
    <section class="all" aria-labelledby="all-batches">
      <h2 id="all-batches">All batches</h2>
      <Shown of={batches} label="Loading all batches">
        {() =>
          batches.items.length === 0 ? (
            <Empty title="No batch yet" />
          ) : (
            <>
              <Scroll label="Table of all batches">
                <table>
                  <thead>
                    <tr>
                      <th scope="col">Batch</th>
                      <th scope="col">Created</th>
                      <th scope="col" class="number">
                        Files
                      </th>
                      <th scope="col">State</th>
                      <th scope="col">Result</th>
                    </tr>
                  </thead>
                  <tbody>
                    {batches.items.map((one) => (
                      <tr key={one.id}>
                        <th scope="row">
                          <a href={`/batch/${encodeURIComponent(one.id)}`}>{one.name ?? one.id}</a>
                          {one.name && <small class="batch-id">{one.id}</small>}
                        </th>
                        <td title={dateTime(one.created)}>
                          {one.created ? since(Date.parse(one.created)) : ""}
                        </td>
                        <td class="number">{count(one.expected ?? one.rows)}</td>
                        <td>{STATES[one.state]}</td>
                        <td>
                          <Result of={one} />
                        </td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </Scroll>
              <MoreButton of={batches} label="Show older batches" />
            </>
          )
        }
      </Shown>
    </section>
  );
}
