/** The duration and memory of each function. */
import type { Schemas } from "../../api/client";
import { count, milliseconds } from "../../format";
import { Scroll } from "../../ui/scroll";
import { memory, PURPOSES } from "./series";

export function Functions({ of }: { of: Schemas["FunctionFigures"][] }) {
  return (
    <section aria-labelledby="functions">
      <h2 id="functions">Functions</h2>
      <Scroll label="Table of functions">
        <table class="functions">
          <thead>
            <tr>
              <th scope="col">Function</th>
              <th scope="col" class="number">
                Invocations
              </th>
              {["p50", "p95", "p99"].map((name) => (
                <th key={name} scope="col" class="number">
                  {name}
                </th>
              ))}
              <th scope="col" class="number">
                Peak memory
              </th>
            </tr>
          </thead>
          <tbody>
            {of.map(({ function: name, invocations, duration_ms, memory_mb, memory_limit_mb }) => (
              <tr key={name}>
                <th scope="row">
                  {name}
                  <small>{PURPOSES[name]}</small>
                </th>
                <td class="number">{count(invocations)}</td>
                <td class="number">{milliseconds(duration_ms.p50)}</td>
                <td class="number">{milliseconds(duration_ms.p95)}</td>
                <td class="number">{milliseconds(duration_ms.p99)}</td>
                <td class="number">{memory(memory_mb, memory_limit_mb)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </section>
  );
}
