/** Changes that a person makes: what came of them is said, with the trace id when they were refused. */
import { notifications } from "@mantine/notifications";
import { useMutation, useQueryClient, type UseMutationOptions } from "@tanstack/react-query";
import { createElement } from "react";
import { ApiError, describe } from "../api/client";
import { Copy } from "../components/Copy";

/** Shows why something was refused. */
export function notifyError(error: unknown, title = "That did not work") {
  const traceId = error instanceof ApiError ? error.traceId : undefined;
  notifications.show({
    color: "red",
    title,
    message: createElement(
      "div",
      null,
      describe(error),
      traceId &&
        createElement("div", { className: "tabular" }, "Trace ", createElement(Copy, { value: traceId, inline: true })),
    ),
    autoClose: 12_000,
  });
}

/** Says that something worked. */
export function notifyDone(message: string) {
  notifications.show({ color: "brand", message, autoClose: 4_000 });
}

type Options<Data, Variables> = Omit<UseMutationOptions<Data, Error, Variables>, "onSuccess"> & {
  /** Said when it worked. */
  done?: string | ((data: Data, variables: Variables) => string);
  /** The title over a refusal; `null` when the caller shows the refusal itself. */
  failed?: string | null;
  /** Queries that are void afterwards. */
  touches?: readonly (readonly unknown[])[];
  onSuccess?: (data: Data, variables: Variables) => void;
};

/** `useMutation` with a word about its end. */
export function useChange<Data = unknown, Variables = void>(options: Options<Data, Variables>) {
  const client = useQueryClient();
  const { done, failed, touches, onSuccess, ...rest } = options;
  return useMutation<Data, Error, Variables>({
    ...rest,
    onSuccess: async (data, variables) => {
      for (const queryKey of touches ?? []) void client.invalidateQueries({ queryKey });
      if (done) notifyDone(typeof done === "function" ? done(data, variables) : done);
      onSuccess?.(data, variables);
    },
    onError: (error) => {
      if (failed !== null) notifyError(error, failed);
    },
  });
}
