import { Page } from "../../components/Page";

export default function NotYet() {
  return <Page title="Metrics" text="This page is not there yet." />;
}
