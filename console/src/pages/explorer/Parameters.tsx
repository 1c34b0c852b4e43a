/** A field for each parameter of an operation. Optional parameters are collapsed. */
import { Button, Collapse, SimpleGrid, Stack, TextInput, NativeSelect, Title } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconChevronDown, IconChevronRight } from "@tabler/icons-react";
import { formatCount } from "../../lib/format";
import type { Operation, Parameter } from "./document";
import { AUTOMATIC_PARAMETERS } from "./request";

interface Props {
  operation: Operation;
  values: Record<string, string>;
  /** The names of required parameters without a value. */
  missing: string[];
  onChange: (name: string, value: string) => void;
}

export function Parameters({ operation, values, missing, onChange }: Props) {
  const shown = operation.parameters.filter((parameter) => !AUTOMATIC_PARAMETERS.includes(parameter.name));
  const required = shown.filter((parameter) => parameter.required);
  const optional = shown.filter((parameter) => !parameter.required);
  const [open, { toggle }] = useDisclosure(required.length === 0 && operation.method === "GET");
  if (shown.length === 0) return null;
  const field = (parameter: Parameter) => (
    <Field
      key={parameter.name}
      parameter={parameter}
      value={values[parameter.name] ?? ""}
      error={missing.includes(parameter.name) ? "Required" : undefined}
      onChange={(value) => onChange(parameter.name, value)}
    />
  );
  return (
    <Stack gap="sm">
      <Title order={3} size="h3">
        Parameters
      </Title>
      {required.length > 0 && <SimpleGrid cols={{ base: 1, sm: 2 }}>{required.map(field)}</SimpleGrid>}
      {optional.length > 0 && (
        <>
          <div>
            <Button
              variant="subtle"
              size="compact-sm"
              color="gray"
              aria-expanded={open}
              leftSection={
                open ? <IconChevronDown size={14} aria-hidden /> : <IconChevronRight size={14} aria-hidden />
              }
              onClick={toggle}
            >
              {formatCount(optional.length, "optional parameter")}
            </Button>
          </div>
          <Collapse expanded={open}>
            <SimpleGrid cols={{ base: 1, sm: 2 }}>{optional.map(field)}</SimpleGrid>
          </Collapse>
        </>
      )}
    </Stack>
  );
}

interface FieldProps {
  parameter: Parameter;
  value: string;
  error?: string;
  onChange: (value: string) => void;
}

function Field({ parameter, value, error, onChange }: FieldProps) {
  const shared = {
    label: parameter.name,
    description: parameter.description,
    withAsterisk: parameter.required,
    error,
    value,
  };
  if (parameter.choices) {
    const data = [{ value: "", label: "–" }, ...parameter.choices.map((choice) => ({ value: choice, label: choice }))];
    return <NativeSelect {...shared} data={data} onChange={(event) => onChange(event.currentTarget.value)} />;
  }
  return (
    <TextInput
      {...shared}
      autoComplete="off"
      spellCheck={false}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}
