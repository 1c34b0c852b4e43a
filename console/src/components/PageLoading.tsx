import { Skeleton, Stack } from "@mantine/core";

/** Shown while a page loads. */
export function PageLoading() {
  return (
    <Stack aria-busy="true" aria-label="Loading" role="status">
      <Skeleton height={28} width={220} />
      <Skeleton height={160} />
      <Skeleton height={160} />
    </Stack>
  );
}
