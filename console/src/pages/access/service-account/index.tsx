import { Page } from "../../../components/Page";

export default function NotYet() {
  return <Page title="Service account" text="This page is not there yet." />;
}
