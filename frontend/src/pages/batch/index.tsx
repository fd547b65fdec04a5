/** Many images: uploaded here, followed, and their results to sort and download. */
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
          <Private reason="Sign in to see this batch.">
            {() => <Watch key={batch} id={batch} />}
          </Private>
        </>
      ) : (
        <Begin />
      )}
    </div>
  );
}
