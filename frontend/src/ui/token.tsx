/** Parts of the page that need a token. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { admin, member, refused, signingIn, token } from "../api/session";

/**
 * The reason why a part of the page needs a token, and a button that opens the form. Calls
 * `onSignedIn` once the token is another one than `since`.
 */
export function NeedsToken({
  reason,
  since = token.value,
  onSignedIn,
  children,
}: {
  reason: string;
  since?: string | null;
  onSignedIn?: (() => void) | undefined;
  children?: ComponentChildren;
}) {
  const before = useRef(since);
  useEffect(() => {
    if (token.value && token.value !== before.current) onSignedIn?.();
    before.current = token.value;
  }, [token.value]);
  return (
    <div class="card token">
      <p>{reason}</p>
      <div class="row">
        <button
          type="button"
          onClick={() => {
            signingIn.value = true;
          }}
        >
          Sign in
        </button>
        {children}
      </div>
    </div>
  );
}

/**
 * Shows its children to members (`of="admin"`: to admins), and to others why they must sign in. If
 * the session ends, the children stay: their work goes on after the next sign-in.
 */
export function Private({
  of = "member",
  reason,
  children,
}: {
  of?: "member" | "admin";
  reason: string;
  children: () => ComponentChildren;
}) {
  const held = useRef(false);
  const allowed = of === "admin" ? admin.value : member.value;
  held.current = allowed || (held.current && refused.value);
  return held.current ? children() : <NeedsToken reason={reason} />;
}
