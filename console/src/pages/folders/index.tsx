import { Page } from "../../components/Page";

export default function NotYet() {
  return <Page title="Folders" text="This page is not there yet." />;
}
