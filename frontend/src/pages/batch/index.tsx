/** Many images: handed over here, watched on their way, and their results to sort and take along. */
import { useRoute } from "preact-iso";
import { Private } from "../../ui/token";
import { Begin } from "./begin";
import "./batch.css";
import { Watch } from "./watch";

export default function Batch() {
  const { batch } = useRoute().params;
  return (
    <div class="batch">
      {batch ? (
        <>
          <p class="back">
            <a href="/batch">All batches</a>
          </p>
          <h1 tabIndex={-1}>Batch {batch}</h1>
          <Private reason="What becomes of a batch is not for everybody.">
            {() => <Watch key={batch} id={batch} />}
          </Private>
        </>
      ) : (
        <Begin />
      )}
    </div>
  );
}
