// The last program in the boot order. Says on the console in which mode the firmware is and what it has noted of the
// programs that it refused, writes variables as the file \steps says, and turns the machine off. A step is a line:
//   write VARIABLE FILE     gives PK, KEK, db or dbx the contents of a .auth file (EFI_VARIABLE_AUTHENTICATION_2)
//   append VARIABLE FILE    adds them to what the variable holds
#include <efi.h>
#include <efilib.h>

// UEFI 2.10, section 32.4.2: the table of images that were not run, and where db and dbx are.
static EFI_GUID security_database = {0xd719b2cb, 0x3d3a, 0x4596, {0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f}};
static EFI_GUID global = EFI_GLOBAL_VARIABLE;

struct execution {
	UINT32 action;
	UINT32 size;
	// A name, then the path.
	CHAR16 name[];
};

static const CHAR16 *const actions[] = {
	L"untested", L"signature failed", L"signature passed", L"signature not found", L"signature found", L"policy failed",
	L"?", L"?",
};

// The words of a step, each ended by a zero.
#define WORDS 3
#define LENGTH 64

static VOID tell_refused(VOID)
{
	UINTN *count = NULL, i;
	struct execution *one;

	if (EFI_ERROR(LibGetSystemConfigurationTable(&security_database, (VOID **)&count)) || !count)
		return;
	one = (struct execution *)(count + 1);
	for (i = 0; i < *count; i++) {
		EFI_DEVICE_PATH *path = (EFI_DEVICE_PATH *)(one->name + StrLen(one->name) + 1);
		Print(L"steps: refused %s: %s\n", DevicePathToStr(path), actions[one->action & 7]);
		one = (struct execution *)((UINT8 *)one + one->size);
	}
}

static UINTN mode(CHAR16 *variable)
{
	UINT8 value = 9;
	UINTN size = sizeof(value);

	uefi_call_wrapper(RT->GetVariable, 5, variable, &global, NULL, &size, &value);
	return value;
}

static EFI_STATUS read(EFI_FILE_HANDLE root, CHAR16 *name, VOID **contents, UINTN *size)
{
	EFI_FILE_HANDLE file;
	EFI_FILE_INFO *info;
	EFI_STATUS status = uefi_call_wrapper(root->Open, 5, root, &file, name, EFI_FILE_MODE_READ, 0);

	if (EFI_ERROR(status))
		return status;
	info = LibFileInfo(file);
	if (!info)
		return EFI_DEVICE_ERROR;
	*size = info->FileSize;
	*contents = AllocateZeroPool(*size + 1);
	if (!*contents)
		return EFI_OUT_OF_RESOURCES;
	return uefi_call_wrapper(file->Read, 3, file, size, *contents);
}

static EFI_STATUS set(CHAR16 *variable, UINT32 attributes, VOID *contents, UINTN size)
{
	BOOLEAN is_global = StrCmp(variable, L"PK") == 0 || StrCmp(variable, L"KEK") == 0;

	attributes |= EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS |
		      EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS;
	return uefi_call_wrapper(RT->SetVariable, 5, variable, is_global ? &global : &security_database, attributes, size, contents);
}

static VOID take(EFI_FILE_HANDLE root, CHAR16 words[WORDS][LENGTH])
{
	UINT32 append = StrCmp(words[0], L"append") == 0 ? EFI_VARIABLE_APPEND_WRITE : 0;
	VOID *contents;
	UINTN size;
	EFI_STATUS status = EFI_INVALID_PARAMETER;

	if (append || StrCmp(words[0], L"write") == 0) {
		status = read(root, words[2], &contents, &size);
		if (EFI_ERROR(status))
			Print(L"steps: no file %s\n", words[2]);
		else
			status = set(words[1], append, contents, size);
	}
	Print(L"steps: %s %s %s: %r\n", words[0], words[1], words[2], status);
}

static VOID follow(EFI_FILE_HANDLE root, CHAR8 *at)
{
	while (*at) {
		CHAR16 words[WORDS][LENGTH] = {};
		UINTN word = 0, length = 0;

		for (; *at && *at != '\n'; at++) {
			if (*at == ' ') {
				word++;
				length = 0;
			} else if (word < WORDS && length < LENGTH - 1) {
				words[word][length++] = *at;
			}
		}
		if (words[0][0])
			take(root, words);
		if (*at)
			at++;
	}
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
	EFI_LOADED_IMAGE *loaded;
	EFI_FILE_HANDLE root = NULL;
	VOID *steps;
	UINTN size;

	InitializeLib(image, system);
	Print(L"\nsteps: begin, SetupMode %d, SecureBoot %d\n", mode(L"SetupMode"), mode(L"SecureBoot"));
	tell_refused();
	if (!EFI_ERROR(uefi_call_wrapper(BS->HandleProtocol, 3, image, &LoadedImageProtocol, (VOID **)&loaded)))
		root = LibOpenRoot(loaded->DeviceHandle);
	if (root && !EFI_ERROR(read(root, L"steps", &steps, &size)))
		follow(root, steps);
	Print(L"steps: end\n");
	uefi_call_wrapper(RT->ResetSystem, 4, EfiResetShutdown, EFI_SUCCESS, 0, NULL);
	return EFI_SUCCESS;
}
