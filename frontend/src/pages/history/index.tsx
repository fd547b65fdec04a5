/** Past predictions: a list with filters, and one with its image and an address to share. */
import { useRoute } from "preact-iso";
import { Private } from "../../ui/token";
import "./history.css";
import { Past } from "./list";
import { One } from "./one";

export default function History() {
  const id = useRoute().params.prediction;
  return (
    <div class="history">
      {id ? (
        <>
          <p class="way-back">
            <a href="/history">All predictions</a>
          </p>
          <h1 tabIndex={-1}>Prediction</h1>
        </>
      ) : (
        <h1 tabIndex={-1}>History</h1>
      )}
      <Private reason="Sign in to see past predictions.">
        {() => (id ? <One key={id} id={id} /> : <Past />)}
      </Private>
    </div>
  );
}
