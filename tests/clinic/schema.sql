-- The tables of the clinic. Column names are those of the JSON answers.

create table "user" (
  id text primary key, email text unique not null, "passwordHash" text not null, role text not null,
  status text not null default 'ACTIVE', "needPasswordChange" boolean not null default true,
  "createdAt" timestamptz not null default now(), "updatedAt" timestamptz not null default now());

create table admin (
  id text primary key, email text unique not null references "user"(email), name text not null,
  "contactNumber" text, "createdAt" timestamptz not null default now(), "updatedAt" timestamptz not null default now());

create table doctor (
  id text primary key, email text unique not null references "user"(email), name text not null,
  "contactNumber" text not null, address text, gender text not null, "registrationNumber" text not null,
  experience int not null default 0, "appointmentFee" int not null, qualification text not null,
  designation text not null, "currentWorkingPlace" text not null, bio text not null default '',
  "averageRating" double precision not null default 0, "isDeleted" boolean not null default false,
  "createdAt" timestamptz not null default now(), "updatedAt" timestamptz not null default now());

create table specialty (
  id text primary key, title text unique not null, icon text not null,
  "createdAt" timestamptz not null default now(), "updatedAt" timestamptz not null default now());

-- A specialty that a doctor carries can be neither deleted nor renamed.
create table doctor_specialty (
  "doctorId" text not null references doctor(id), "specialtyId" text not null references specialty(id),
  primary key ("doctorId", "specialtyId"));

create table patient (
  id text primary key, email text unique not null references "user"(email), name text not null,
  "contactNumber" text, address text, "bloodGroup" text, "isDeleted" boolean not null default false,
  "createdAt" timestamptz not null default now(), "updatedAt" timestamptz not null default now());

create table schedule (
  id text primary key, "startDateTime" timestamptz not null, "endDateTime" timestamptz not null);

create table doctor_schedule (
  "doctorId" text not null references doctor(id), "scheduleId" text not null references schedule(id),
  "isBooked" boolean not null default false, primary key ("doctorId", "scheduleId"));

create table appointment (
  id text primary key, "patientId" text not null references patient(id), "doctorId" text not null references doctor(id),
  "scheduleId" text not null references schedule(id), "videoCallingId" text not null,
  status text not null default 'SCHEDULED', "paymentStatus" text not null default 'UNPAID',
  "createdAt" timestamptz not null default now(), "updatedAt" timestamptz not null default now());
create index on appointment ("patientId");
create index on appointment ("doctorId");

create table payment (
  id text primary key, "appointmentId" text unique not null references appointment(id), amount int not null,
  "transactionId" text not null, status text not null default 'UNPAID');

create table prescription (
  id text primary key, "appointmentId" text unique not null references appointment(id), instructions text not null,
  "followUpDate" timestamptz, "createdAt" timestamptz not null default now());

create table review (
  id text primary key, "appointmentId" text unique not null references appointment(id),
  "patientId" text not null references patient(id), "doctorId" text not null references doctor(id),
  rating int not null, comment text not null, "createdAt" timestamptz not null default now());
create index on review ("doctorId");
