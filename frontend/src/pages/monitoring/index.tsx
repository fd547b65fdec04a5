/** The state of the service, its traffic, and what to do about each alarm. */
import { admin } from "../../api/session";
import { Private } from "../../ui/token";
import { Alarms } from "./alarm-list";
import { Debug } from "./debug";
import "./monitoring.css";
import { Now } from "./now";
import { Traffic } from "./traffic";

export default function Monitoring() {
  return (
    <div class="monitoring">
      <h1 tabIndex={-1}>Monitoring</h1>
      <Now />
      <Private reason="Sign in to see traffic and drift.">{() => <Traffic />}</Private>
      <Alarms />
      {admin.value && <Debug />}
    </div>
  );
}
