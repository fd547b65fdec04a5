/** How the service does now and did of late, and what to do when it does badly. */
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
      <Private reason="How much the service is used, and how it does, is not for everybody.">
        {() => <Traffic />}
      </Private>
      <Alarms />
      {admin.value && <Debug />}
    </div>
  );
}
