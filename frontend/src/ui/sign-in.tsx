/** The form for the admin token or a key, kept in the tab or, by choice, on this device. */
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { signIn } from "../api/client";
import { asProblem } from "../api/problem";
import { config, refused, signingIn } from "../api/session";
import { announce } from "./announce";

function TokenForm() {
  const [given, setGiven] = useState("");
  const [remember, setRemember] = useState(false);
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState(
    refused.value ? "That token didn’t work. Check it, or ask for the current one." : "",
  );
  const id = useId();
  const send = async () => {
    setBusy(true);
    setWrong("");
    try {
      if (await signIn(given.trim(), remember)) announce("Signed in");
      else setWrong("That token didn’t work. Check it, or ask for the current one.");
    } catch (error) {
      const { title, detail } = asProblem(error, config.value.api);
      setWrong(`${title}. ${detail}`);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (given.trim() && !busy) void send();
      }}
    >
      <h2 id="sign-in">Sign in</h2>
      {wrong && (
        <p class="bad" role="alert">
          {wrong}
        </p>
      )}
      {refused.value && (
        <p>What you have on this page stays, and goes on once you are signed in.</p>
      )}
      <label for={id}>Token</label>
      <input
        id={id}
        type="password"
        autocomplete="off"
        spellcheck={false}
        required
        value={given}
        onInput={(event) => setGiven(event.currentTarget.value)}
      />
      <p class="hint">The admin token, or a key that an admin gave you.</p>
      <label class="check">
        <input
          type="checkbox"
          checked={remember}
          onChange={(event) => setRemember(event.currentTarget.checked)}
        />
        Remember on this device. Otherwise until you close the tab.
      </label>
      <footer class="row end">
        <button
          type="button"
          class="secondary"
          onClick={() => {
            signingIn.value = false;
          }}
        >
          Cancel
        </button>
        <button type="submit" aria-busy={busy} disabled={busy}>
          Sign in
        </button>
      </footer>
    </form>
  );
}

/** The form in a dialog over the page. */
export function SignIn() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const shown = dialog.current;
    shown?.showModal();
    return () => shown?.close(); // Gives the focus back.
  }, []);
  return (
    <dialog
      ref={dialog}
      aria-labelledby="sign-in"
      onClose={() => {
        signingIn.value = false;
      }}
    >
      <article>
        <TokenForm />
      </article>
    </dialog>
  );
}
