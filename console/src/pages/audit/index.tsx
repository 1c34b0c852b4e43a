import { Page } from "../../components/Page";

export default function NotYet() {
  return <Page title="Audit" text="This page is not there yet." />;
}
